{{- define "voice-gateway.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}
{{- define "voice-gateway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* The volumes of a role; takes ctx and role. Only the keys that the role's configuration file names are mounted. */}}
{{- define "voice-gateway.volumes" -}}
{{- $v := .ctx.Values -}}
{{- $full := include "voice-gateway.fullname" .ctx -}}
- name: config
  configMap:
    name: {{ $full }}
    items: [{ key: {{ .role }}.yaml, path: config.yaml }]
- name: data
  emptyDir: {}
{{- if ne .role "migrate" }}
- name: run
  emptyDir: { medium: Memory, sizeLimit: 1Mi }
{{- end }}
- name: tmp
  emptyDir: { sizeLimit: 64Mi }
- name: secrets
  projected:
    defaultMode: 0440
    sources:
    {{- if or (ne .role "migrate") (and (include "voice-gateway.needsDatabase" .) (eq $v.database.mode "internal")) }}
    - secret:
        name: {{ include "voice-gateway.secret" .ctx }}
        items:
        {{- if ne .role "migrate" }}
        - { key: state-key, path: state-key }
        {{- end }}
        {{- if and (include "voice-gateway.needsDatabase" .) (eq $v.database.mode "internal") }}
        - { key: postgres-password, path: postgres-password }
        {{- end }}
        {{- if eq .role "integration" }}
        - { key: api-token, path: api-token }
        {{- end }}
        {{- if has .role (list "runtime" "integration") }}
        {{- range include "voice-gateway.extraKeys" .ctx | fromJsonArray }}
        - { key: {{ . | quote }}, path: {{ . | quote }} }
        {{- end }}
        {{- end }}
    {{- end }}
    {{- if and (include "voice-gateway.needsDatabase" .) (eq $v.database.mode "external") }}
    - secret:
        name: {{ include "voice-gateway.databaseSecret" .ctx }}
        items: [{ key: {{ $v.database.external.key }}, path: database-url }]
    {{- end }}
    {{- if ne .role "migrate" }}
    {{- if not (include "voice-gateway.redisInternal" .ctx) }}
    - secret:
        name: {{ include "voice-gateway.redisURLSecret" .ctx }}
        items: [{ key: {{ $v.redis.external.key }}, path: redis-url }]
    {{- else if $v.redis.auth.enabled }}
    - secret:
        name: {{ include "voice-gateway.redisSecret" .ctx }}
        items: [{ key: redis-password, path: redis-password }]
    {{- end }}
    {{- end }}
    {{- if and (eq .role "speech") (ne $v.storage.mode "file") }}
    - secret:
        name: {{ include "voice-gateway.storageSecret" .ctx }}
        items: [{ key: s3-access-key, path: s3-access-key }, { key: s3-secret-key, path: s3-secret-key }]
    {{- end }}
{{- if include "voice-gateway.usesTLS" . }}
- name: tls
  secret: { secretName: {{ include "voice-gateway.tlsSecret" . }}, defaultMode: 0440 }
{{- end }}
{{- if include "voice-gateway.deletionCost" . }}
# What a service account token is, mounted by hand: only here, and for an hour at a time.
- name: kube-api
  projected:
    defaultMode: 0440
    sources:
    - serviceAccountToken: { path: token, expirationSeconds: 3600 }
    - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
    - downwardAPI: { items: [{ path: namespace, fieldRef: { fieldPath: metadata.namespace } }] }
{{- end }}
{{- if and (eq .role "media") (eq (include "voice-gateway.perPod" .ctx) "LoadBalancer") }}
- name: addresses
  configMap: { name: {{ $full }}-media-addresses }
{{- end }}
{{- if eq .role "runtime" }}
- name: dialogs
  projected:
    sources:
    - configMap: { name: {{ $full }}-dialogs, optional: true }
    - configMap: { name: {{ $v.runtime.dialogConfigMap }}, optional: true }
{{- end }}
{{- $models := ternary (include "voice-gateway.models" .ctx) "" (eq .role "speech") }}
{{- if eq $models "image" }}
- name: models
  image: { reference: {{ include "voice-gateway.imageOf" (dict "ctx" .ctx "image" $v.speechGateway.modelStorage.image) | quote }}, pullPolicy: {{ $v.global.image.pullPolicy }} }
{{- else if $models }}
- name: models
  persistentVolumeClaim: { claimName: {{ $v.speechGateway.modelStorage.existingClaim | default (printf "%s-models" $full) }} }
{{- end }}
{{- if and $v.storage.existingClaim (eq .role "speech") }}
- name: objects
  persistentVolumeClaim: { claimName: {{ $v.storage.existingClaim }}, readOnly: true }
{{- end }}
{{- end }}

{{- define "voice-gateway.mounts" -}}
- { name: config, mountPath: /etc/voice-gateway/config.yaml, subPath: config.yaml, readOnly: true }
- { name: secrets, mountPath: /run/secrets/parley, readOnly: true }
- { name: data, mountPath: /var/lib/voice-gateway }
- { name: tmp, mountPath: /tmp }
{{- if include "voice-gateway.usesTLS" . }}
- { name: tls, mountPath: /run/secrets/tls, readOnly: true }
{{- end }}
{{- end }}

{{- define "voice-gateway.resources" -}}
{{- $v := .ctx.Values -}}
{{- $w := get $v (get (include "voice-gateway.roles" .ctx | fromJson) .role) -}}
{{- $r := deepCopy $w.resources -}}
{{- if eq .role "speech" -}}
{{- range $part := list "requests" "limits" -}}
{{- if hasKey $r $part }}{{ $_ := set $r $part (omit (get $r $part) "nvidia.com/gpu" "amd.com/gpu") }}{{ end -}}
{{- end -}}
{{- if include "voice-gateway.usesGPU" .ctx -}}
{{- $_ := set $r "limits" (merge (dict (printf "%s.com/gpu" $v.speechGateway.gpu.type) $v.speechGateway.gpu.count) ($r.limits | default dict)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $r -}}
{{- end }}

{{/* What stops a pod: takes ctx and role. */}}
{{- define "voice-gateway.preStop" -}}
{{- $w := get .ctx.Values (get (include "voice-gateway.roles" .ctx | fromJson) .role) -}}
exec: { command: [parley, drain, {{ if $w.preStopSleepSeconds }}--delay, {{ $w.preStopSleepSeconds }}s, {{ end }}--ready-file, /run/parley/ready.json, --timeout, {{ add $w.drainMaxWaitSeconds 5 }}s] }
{{- end }}
