{{/* Names, labels, images. */}}
{{- define "voice-gateway.name" -}}{{ default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}{{- end }}

{{- define "voice-gateway.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "voice-gateway.selector" -}}
app.kubernetes.io/name: {{ include "voice-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "voice-gateway.labels" -}}
{{ include "voice-gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: voice-gateway
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Takes ctx and image. A registry of global.imageRegistry takes the place of the image's own. */}}
{{- define "voice-gateway.imageOf" -}}
{{- $repository := .image.repository -}}
{{- with .ctx.Values.global.imageRegistry -}}
{{- $parts := splitList "/" $repository -}}
{{- $first := first $parts -}}
{{- if or (contains "." $first) (contains ":" $first) (eq $first "localhost") }}{{ $repository = join "/" (rest $parts) }}{{ end -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository -}}
{{- end -}}
{{- $tag := default .ctx.Chart.AppVersion .image.tag | toString -}}
{{- if eq $tag "latest" }}{{ fail (printf "the image %s has the tag latest, which names another image tomorrow: name a version or a digest" $repository) }}{{ end -}}
{{- if .image.digest }}{{ $repository }}@{{ .image.digest }}{{ else }}{{ $repository }}:{{ $tag }}{{ end -}}
{{- end }}

{{/* Takes ctx and role. */}}
{{- define "voice-gateway.image" -}}
{{- $image := deepCopy .ctx.Values.global.image -}}
{{- if eq .role "speech" -}}
{{- $own := .ctx.Values.speechGateway.image -}}
{{- if or $own.repository $own.tag $own.digest -}}
{{- $image = dict "repository" (default $image.repository $own.repository) "tag" (default $image.tag $own.tag) "digest" $own.digest -}}
{{- end -}}
{{- end -}}
{{- include "voice-gateway.imageOf" (dict "ctx" .ctx "image" $image) -}}
{{- end }}

{{- define "voice-gateway.roles" -}}{"media": "mediaGateway", "speech": "speechGateway", "runtime": "runtime", "integration": "integration", "worker": "workers"}{{- end }}

{{- define "voice-gateway.serviceAccount" -}}
{{- if .ctx.Values.serviceAccount.create }}{{ include "voice-gateway.fullname" .ctx }}-{{ .role }}{{ else }}{{ default "default" .ctx.Values.serviceAccount.name }}{{ end -}}
{{- end }}

{{/*
Whether it is known what the cluster has. Kinds are listed only where a cluster was asked, or where a tool passes on what one has; that
takes no right that an installer may lack.
*/}}
{{- define "voice-gateway.live" -}}{{ if .Capabilities.APIVersions.Has "v1/Pod" }}true{{ end }}{{- end }}

{{/* Takes ctx and api: whether objects of a custom resource may be rendered. */}}
{{- define "voice-gateway.hasAPI" -}}
{{- if or (.ctx.Capabilities.APIVersions.Has .api) (not (include "voice-gateway.live" .ctx)) }}true{{ end -}}
{{- end }}

{{/* The engine that recognises: what the values name where the image has it, else embedded. */}}
{{- define "voice-gateway.engine" -}}
{{- $has := .Values.speechGateway.engines | default (splitList "," (index .Chart.Annotations "voice-gateway/speech-engines")) -}}
{{- $engine := .Values.speechGateway.config.engine -}}
{{- if eq $engine "faster-whisper" }}{{ $engine = "whisper" }}{{ end -}}
{{- if has $engine $has }}{{ $engine }}{{ else }}embedded{{ end -}}
{{- end }}
{{- define "voice-gateway.usesModels" -}}{{ if has (include "voice-gateway.engine" .) (list "whisper" "sherpa") }}true{{ end }}{{- end }}
{{- define "voice-gateway.usesGPU" -}}{{ if and .Values.speechGateway.gpu.enabled (include "voice-gateway.usesModels" .) }}true{{ end }}{{- end }}

{{/* Where models come from: image, claim, or nothing. */}}
{{- define "voice-gateway.models" -}}
{{- if include "voice-gateway.usesModels" . -}}
{{- $i := .Values.speechGateway.modelStorage.image -}}
{{- if or $i.tag $i.digest $i.repository }}image{{ else }}claim{{ end -}}
{{- end -}}
{{- end }}

{{/*
How one role scales; takes ctx and key (of the values). What stands in values autoscaling goes before the role's own, by the names of other
charts too.
*/}}
{{- define "voice-gateway.autoscaling" -}}
{{- $own := deepCopy (get .ctx.Values .key).autoscaling -}}
{{- with get .ctx.Values.autoscaling .key -}}
{{- $given := deepCopy . -}}
{{- if hasKey $given "targetCPUUtilizationPercentage" }}{{ $_ := set $given "targetCPUUtilization" $given.targetCPUUtilizationPercentage }}{{ end -}}
{{- $given = omit $given "targetCPUUtilizationPercentage" "targetMemoryUtilizationPercentage" -}}
{{- $keda := $given.keda | default dict -}}
{{- range list "minReplicas" "maxReplicas" }}{{ if and $keda.enabled (hasKey $keda .) }}{{ $_ := set $given . (get $keda .) }}{{ end }}{{ end -}}
{{- $own = mergeOverwrite $own $given -}}
{{- end -}}
{{- toJson $own -}}
{{- end }}

{{/* The defaults are of nvidia's nodes; those of amd have other labels and taints. */}}
{{- define "voice-gateway.gpuNodes" -}}
{{- $g := .Values.speechGateway.gpu -}}
{{- $nodes := dict -}}
{{- range $key, $value := $g.nodeSelector }}{{ if or (eq $g.type "nvidia") (not (hasPrefix "nvidia.com/" $key)) }}{{ $_ := set $nodes $key $value }}{{ end }}{{ end -}}
{{- toYaml $nodes -}}
{{- end }}
{{- define "voice-gateway.gpuTolerations" -}}
{{- $g := .Values.speechGateway.gpu -}}
{{- $all := list -}}
{{- range $g.tolerations -}}
{{- if and (eq $g.type "amd") (eq (.key | default "") "nvidia.com/gpu") }}{{ $all = append $all (merge (dict "key" "amd.com/gpu") .) }}{{ else }}{{ $all = append $all . }}{{ end -}}
{{- end -}}
{{- toYaml $all -}}
{{- end }}

{{- define "voice-gateway.codecs" -}}
{{- $has := splitList "," (index .Chart.Annotations "voice-gateway/codecs") -}}
{{- $codecs := list -}}
{{- range .Values.mediaGateway.config.codecs }}{{ if has . $has }}{{ $codecs = append $codecs . }}{{ end }}{{ end -}}
{{- toJson $codecs -}}
{{- end }}

{{- define "voice-gateway.transports" -}}
{{- $given := .Values.mediaGateway.config.sipTransport -}}
{{- if kindIs "string" $given }}{{ toJson (list $given) }}{{ else }}{{ toJson $given }}{{ end -}}
{{- end }}

{{/* How each media pod gets Services of its own: LoadBalancer, NodePort, or nothing. */}}
{{- define "voice-gateway.perPod" -}}{{ if not .Values.mediaGateway.hostNetwork }}{{ .Values.mediaGateway.perPod.type }}{{ end }}{{- end }}

{{/* What media listens on for SIP. Ports of nodes are what callers see, so with them the pod itself must have that number. */}}
{{- define "voice-gateway.sipPort" -}}
{{- $s := .Values.mediaGateway.service -}}
{{- if eq (include "voice-gateway.perPod" .) "NodePort" }}{{ $s.nodePort }}{{ else }}{{ $s.sipPort }}{{ end -}}
{{- end }}

{{/* How many media pods there may be. */}}
{{- define "voice-gateway.mediaPods" -}}
{{- $a := include "voice-gateway.autoscaling" (dict "ctx" . "key" "mediaGateway") | fromJson -}}
{{- if or $a.enabled $a.keda.enabled }}{{ max (int $a.maxReplicas) (int $a.minReplicas) }}{{ else }}{{ .Values.mediaGateway.replicas }}{{ end -}}
{{- end }}

{{/* Whether pods of a role write down how many calls they have; takes ctx and role. */}}
{{- define "voice-gateway.deletionCost" -}}
{{- $v := .ctx.Values -}}
{{- $stateful := and (eq .role "media") (include "voice-gateway.perPod" .ctx) -}}
{{- if and $v.podDeletionCost.enabled (has .role (list "media" "speech" "runtime")) (not $stateful) (or $v.serviceAccount.create $v.serviceAccount.name) }}true{{ end -}}
{{- end }}

{{/* Takes ctx and role: the metrics port of its pods. */}}
{{- define "voice-gateway.metricsPort" -}}
{{- if and (eq .role "media") .ctx.Values.mediaGateway.hostNetwork }}{{ .ctx.Values.mediaGateway.hostMetricsPort }}{{ else }}{{ .ctx.Values.observability.metrics.port }}{{ end -}}
{{- end }}

{{/* Secrets. */}}
{{- define "voice-gateway.secret" -}}{{ .Values.secrets.existingSecret | default (printf "%s-secrets" (include "voice-gateway.fullname" .)) }}{{- end }}
{{- define "voice-gateway.redisInternal" -}}{{ if and .Values.redis.enabled (eq .Values.redis.mode "internal") }}true{{ end }}{{- end }}
{{- define "voice-gateway.redisSecret" -}}{{ .Values.redis.auth.existingSecret | default (printf "%s-redis" (include "voice-gateway.fullname" .)) }}{{- end }}
{{/*
Where an address or key of others lies: the Secret named for it, else that of secrets.existingSecret, else the chart's own if the values have
what goes into it; nothing if there is none.
*/}}
{{- define "voice-gateway.secretOr" -}}
{{- .named | default .ctx.Values.secrets.existingSecret | default (ternary (include "voice-gateway.secret" .ctx) "" (not (empty .given))) -}}
{{- end }}
{{- define "voice-gateway.databaseSecret" -}}{{ include "voice-gateway.secretOr" (dict "ctx" . "named" .Values.database.external.existingSecret "given" .Values.secrets.databaseUrl) }}{{- end }}
{{- define "voice-gateway.redisURLSecret" -}}{{ include "voice-gateway.secretOr" (dict "ctx" . "named" .Values.redis.external.existingSecret "given" .Values.secrets.redisUrl) }}{{- end }}
{{- define "voice-gateway.turnSecret" -}}{{ include "voice-gateway.secretOr" (dict "ctx" . "named" .Values.coturn.existingSecret "given" true) }}{{- end }}
{{- define "voice-gateway.storageSecret" -}}
{{- $given := (include "voice-gateway.storageKeys" . | fromJson).id -}}
{{- include "voice-gateway.secretOr" (dict "ctx" . "named" .Values.storage.existingSecret "given" (or $given (eq .Values.storage.mode "internalMinio"))) -}}
{{- end }}
{{/* The keys of the object store that the values have. */}}
{{- define "voice-gateway.storageKeys" -}}
{{- $s := .Values.secrets -}}
{{- if eq .Values.storage.mode "s3" }}{{ toJson (dict "id" $s.awsAccessKeyId "secret" $s.awsSecretAccessKey) }}{{ else }}{{ toJson (dict "id" $s.minioAccessKey "secret" $s.minioSecretKey) }}{{ end -}}
{{- end }}

{{/* Where the object store is: its endpoint, bucket, region, whether buckets are folders of one host, and its port. */}}
{{- define "voice-gateway.objects" -}}
{{- $s := .Values.storage -}}
{{- if eq $s.mode "internalMinio" -}}
{{- toJson (dict "endpoint" (printf "http://%s-minio.%s.svc:9000" (include "voice-gateway.fullname" .) .Release.Namespace) "bucket" .Values.minio.bucket "region" "us-east-1" "path" true "port" 9000) -}}
{{- else if eq $s.mode "externalMinio" -}}
{{- $host := $s.externalMinio.endpoint | trimPrefix "https://" | trimPrefix "http://" | trimSuffix "/" -}}
{{- $secure := and $s.externalMinio.secure (not (hasPrefix "http://" $s.externalMinio.endpoint)) -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" | default (ternary "443" "80" $secure) -}}
{{- toJson (dict "endpoint" (printf "%s://%s:%s" (ternary "https" "http" $secure) (regexReplaceAll ":[0-9]+$" $host "") $port) "bucket" $s.externalMinio.bucket "region" "us-east-1" "path" true "port" (int $port)) -}}
{{- else if eq $s.mode "s3" -}}
{{- toJson (dict "endpoint" (printf "https://s3.%s.amazonaws.com:443" $s.s3.region) "bucket" $s.s3.bucket "region" $s.s3.region "path" false "port" 443) -}}
{{- end -}}
{{- end }}

{{/* Takes ctx and role. */}}
{{- define "voice-gateway.needsDatabase" -}}
{{- if or (has .role (list "runtime" "integration" "worker" "migrate")) (eq .ctx.Values.runtime.config.stateStore "postgres") }}true{{ end -}}
{{- end }}
{{- define "voice-gateway.extraKeys" -}}{{ toJson (concat (keys .Values.secrets.extra | sortAlpha) .Values.secrets.extraKeys | uniq) }}{{- end }}
{{- define "voice-gateway.tlsSecret" -}}
{{- get .ctx.Values.security.mtls.existingSecrets .role | default (printf "%s-%s-tls" (include "voice-gateway.fullname" .ctx) .role) -}}
{{- end }}
{{- define "voice-gateway.usesTLS" -}}{{ if and .ctx.Values.security.mtls.enabled (has .role (list "media" "speech" "runtime" "integration")) }}true{{ end }}{{- end }}

{{/* Stopping: takes ctx and role. */}}
{{- define "voice-gateway.grace" -}}
{{- $w := get .ctx.Values (get (include "voice-gateway.roles" .ctx | fromJson) .role) -}}
{{- $need := add $w.drainMaxWaitSeconds $w.preStopSleepSeconds 15 -}}
{{- if $w.terminationGracePeriodSeconds }}{{ $w.terminationGracePeriodSeconds }}{{ else }}{{ add $need 15 }}{{ end -}}
{{- end }}

{{/* Refuses values that contradict each other, each with one sentence. */}}
{{- define "voice-gateway.check" -}}
{{- $ctx := . -}}
{{- $v := .Values -}}
{{- range $role, $key := include "voice-gateway.roles" . | fromJson -}}
{{- $w := get $v $key -}}
{{- $need := add $w.drainMaxWaitSeconds $w.preStopSleepSeconds 15 -}}
{{- if and $w.terminationGracePeriodSeconds (lt (int $w.terminationGracePeriodSeconds) (int $need)) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds is %d, but draining may take %d: %s.drainMaxWaitSeconds, preStopSleepSeconds and 15 more; calls would be cut" $key (int $w.terminationGracePeriodSeconds) (int $need) $key) -}}
{{- end -}}
{{- $a := include "voice-gateway.autoscaling" (dict "ctx" $ctx "key" $key) | fromJson -}}
{{- if and (or $a.enabled $a.keda.enabled) (gt (int $a.minReplicas) (int $a.maxReplicas)) -}}
{{- fail (printf "%s.autoscaling.minReplicas is above maxReplicas" $key) -}}
{{- end -}}
{{- if and $a.keda.enabled (not $v.observability.metrics.enabled) -}}
{{- fail (printf "%s.autoscaling.keda.enabled needs observability.metrics.enabled: it scales by what Prometheus knows" $key) -}}
{{- end -}}
{{- if and $a.keda.enabled (not (include "voice-gateway.hasAPI" (dict "ctx" $ctx "api" "keda.sh/v1alpha1"))) -}}
{{- fail (printf "%s.autoscaling.keda.enabled, but this cluster has no KEDA. Install it, or scale by processor time: --set %s.autoscaling.keda.enabled=false" $key $key) -}}
{{- end -}}
{{- if and $a.enabled (dig "customMetric" "enabled" false $a) (not $v.observability.metrics.enabled) -}}
{{- fail (printf "%s.autoscaling.customMetric.enabled needs observability.metrics.enabled" $key) -}}
{{- end -}}
{{- end -}}
{{- $roles := include "voice-gateway.roles" . | fromJson -}}
{{- range $name, $a := $v.autoscaling -}}
{{- if and (not (has $name (values $roles))) (or $a.enabled (dig "keda" "enabled" false $a)) -}}
{{- fail (printf "autoscaling.%s: there is no such role here; there are %s" $name (join ", " (values $roles | sortAlpha))) -}}
{{- end -}}
{{- end -}}
{{- if eq $v.runtime.config.stateStore "memory" -}}
{{- fail "runtime.config.stateStore memory: the roles run in processes of their own here and share what they know of calls; say redis or postgres" -}}
{{- end -}}
{{- if and (not (include "voice-gateway.redisInternal" .)) (not (include "voice-gateway.redisURLSecret" .)) -}}
{{- fail "Redis is external (redis.enabled false, or redis.mode external): name the Secret with its address in redis.external.existingSecret, or give it in secrets.redisUrl" -}}
{{- end -}}
{{- if and (eq $v.redis.architecture "replication") (include "voice-gateway.redisInternal" .) (or (lt (int $v.redis.replica.replicaCount) 3) (gt (int $v.redis.replica.replicaCount) 16)) -}}
{{- fail "redis.replica.replicaCount must be 3 to 16 with redis.architecture replication: fewer sentinels cannot agree on a new master; say standalone for one server" -}}
{{- end -}}
{{- if and (eq $v.database.mode "external") (not (include "voice-gateway.databaseSecret" .)) -}}
{{- fail "database.mode external: name the Secret with the address in database.external.existingSecret, or give it in secrets.databaseUrl" -}}
{{- end -}}
{{- if ne $v.storage.mode "file" -}}
{{- if $v.storage.existingClaim -}}
{{- fail (printf "storage.existingClaim needs storage.mode file: with %s sounds lie in the bucket" $v.storage.mode) -}}
{{- end -}}
{{- if not (include "voice-gateway.storageSecret" .) -}}
{{- fail (printf "storage.mode %s: name a Secret with s3-access-key and s3-secret-key in storage.existingSecret, or give %s" $v.storage.mode (ternary "secrets.awsAccessKeyId and awsSecretAccessKey" "secrets.minioAccessKey and minioSecretKey" (eq $v.storage.mode "s3"))) -}}
{{- end -}}
{{- if and (eq $v.storage.mode "externalMinio") (not $v.storage.externalMinio.endpoint) -}}
{{- fail "storage.mode externalMinio: name its host in storage.externalMinio.endpoint" -}}
{{- end -}}
{{- $given := include "voice-gateway.storageKeys" . | fromJson -}}
{{- if ne (empty $given.id) (empty $given.secret) }}{{ fail (printf "storage.mode %s: secrets has only one of its two keys" $v.storage.mode) }}{{ end -}}
{{- $bucket := (include "voice-gateway.objects" . | fromJson).bucket -}}
{{- if not (regexMatch "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$" $bucket) -}}
{{- fail (printf "storage.mode %s: %q is no name of a bucket: 3 to 63 small letters, digits, dots and hyphens" $v.storage.mode $bucket) -}}
{{- end -}}
{{- end -}}
{{- if $v.secrets.existingSecret -}}
{{- range list "databaseUrl" "redisUrl" "minioAccessKey" "minioSecretKey" "awsAccessKeyId" "awsSecretAccessKey" "turnSecret" -}}
{{- if get $v.secrets . }}{{ fail (printf "secrets.%s goes into the Secret that the chart makes, but secrets.existingSecret names one of yours: put it there" .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $transports := include "voice-gateway.transports" . | fromJsonArray -}}
{{- range $transports -}}
{{- if not (has . (list "udp" "tcp")) -}}
{{- fail (printf "mediaGateway.config.sipTransport %s: this version of the gateway has udp and tcp" .) -}}
{{- end -}}
{{- end -}}
{{- if not $transports }}{{ fail "mediaGateway.config.sipTransport names no transport: say udp, tcp, or both" }}{{ end -}}
{{- if not (include "voice-gateway.codecs" . | fromJsonArray) -}}
{{- fail (printf "mediaGateway.config.codecs names none that this version of the gateway has: %s" (index .Chart.Annotations "voice-gateway/codecs")) -}}
{{- end -}}
{{- $ports := splitList "-" $v.mediaGateway.config.rtpPortRange -}}
{{- $low := int (first $ports) -}}{{- $high := int (last $ports) -}}
{{- if or (ge $low $high) (gt $high 65535) (lt $low 1024) -}}
{{- fail (printf "mediaGateway.config.rtpPortRange %s: it must go from a lower to a higher port, between 1024 and 65535" $v.mediaGateway.config.rtpPortRange) -}}
{{- end -}}
{{- $ports := $v.mediaGateway.perPod -}}
{{- if and $v.mediaGateway.hostNetwork $ports.type -}}
{{- fail (printf "mediaGateway.perPod.type %s needs mediaGateway.hostNetwork: false: with hostNetwork each pod has its node's address already" $ports.type) -}}
{{- end -}}
{{- if gt (int $ports.rtpPorts) 200 -}}
{{- fail (printf "mediaGateway.perPod.rtpPorts %d: a Service with more than 200 ports is more than load balancers and nodes take; for more calls take more pods, or hostNetwork" (int $ports.rtpPorts)) -}}
{{- end -}}
{{- with include "voice-gateway.perPod" . -}}
{{- $pods := int (include "voice-gateway.mediaPods" $ctx) -}}
{{- $need := mul $pods $ports.rtpPorts -}}
{{- if or (mod $low 2) (mod $ports.rtpPorts 2) }}{{ fail "mediaGateway.perPod: rtpPorts and the first port of config.rtpPortRange must be even: a call has two ports, and the first of them is even" }}{{ end -}}
{{- if gt (int (add $low $need -1)) $high -}}
{{- fail (printf "mediaGateway.config.rtpPortRange %s is too small: up to %d pods with perPod.rtpPorts %d need %d ports" $v.mediaGateway.config.rtpPortRange $pods (int $ports.rtpPorts) (int $need)) -}}
{{- end -}}
{{- if eq . "NodePort" -}}
{{- $nodes := splitList "-" $ports.nodePortRange -}}
{{- if or (lt $low (int (first $nodes))) (gt $high (int (last $nodes))) -}}
{{- fail (printf "mediaGateway.perPod.type NodePort: config.rtpPortRange %s is not inside the ports that nodes may open, %s; up to %d pods need %d ports, such as 30100-%d" $v.mediaGateway.config.rtpPortRange $ports.nodePortRange $pods (int $need) (int (add 30099 $need))) -}}
{{- end -}}
{{- if not (and (eq $v.mediaGateway.service.type "NodePort") $v.mediaGateway.service.nodePort (eq $v.mediaGateway.service.externalTrafficPolicy "Local")) -}}
{{- fail "mediaGateway.perPod.type NodePort: callers send SIP to a node's port, and the answer must name it: set mediaGateway.service.type NodePort, nodePort such as 30060, and externalTrafficPolicy Local" -}}
{{- end -}}
{{- if and (ge (int $v.mediaGateway.service.nodePort) $low) (le (int $v.mediaGateway.service.nodePort) $high) }}{{ fail "mediaGateway.service.nodePort is one of the ports of config.rtpPortRange" }}{{ end -}}
{{- else if lt (len $ports.pods) $pods -}}
{{- fail (printf "mediaGateway.perPod.pods names %d addresses, but there may be %d pods (autoscaling.maxReplicas, or replicas): SDP must carry the address of each pod's load balancer, so each is named before" (len $ports.pods) $pods) -}}
{{- end -}}
{{- end -}}
{{- if and $v.podDeletionCost.guard.enabled (not (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version)) -}}
{{- fail (printf "podDeletionCost.guard.enabled needs Kubernetes 1.30; this is %s" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if $v.coturn.enabled -}}
{{- $relay := $v.coturn.relayPortRange -}}
{{- $count := int (add 1 (sub $relay.max $relay.min)) -}}
{{- if or (lt $count 2) (lt (int $relay.min) 1024) (gt (int $relay.max) 65535) -}}
{{- fail (printf "coturn.relayPortRange %d to %d: it must go from a lower to a higher port, between 1024 and 65535" (int $relay.min) (int $relay.max)) -}}
{{- end -}}
{{- if and (gt $count 200) (not $v.coturn.hostNetwork) -}}
{{- fail (printf "coturn.relayPortRange has %d ports, and a Service carries 200 at most: take fewer, or coturn.hostNetwork" $count) -}}
{{- end -}}
{{- if and $v.coturn.tls.enabled (not $v.coturn.tls.existingSecret) (not $v.coturn.tls.dnsNames) -}}
{{- fail "coturn.tls.enabled: name a certificate in coturn.tls.existingSecret, or the names for cert-manager in coturn.tls.dnsNames" -}}
{{- end -}}
{{- if and $v.coturn.tls.enabled $v.coturn.tls.dnsNames (not $v.coturn.tls.existingSecret) (not (include "voice-gateway.hasAPI" (dict "ctx" . "api" "cert-manager.io/v1"))) -}}
{{- fail "coturn.tls.dnsNames needs cert-manager, which this cluster has not: name a certificate in coturn.tls.existingSecret" -}}
{{- end -}}
{{- end -}}
{{- $policies := and $v.security.networkPolicy.enabled (or (not $v.mediaGateway.hostNetwork) $v.security.networkPolicy.nodeCIDRs) -}}
{{- if not (or $v.security.mtls.enabled $policies) -}}
{{- fail "security.mtls.enabled false: anyone could pose as media. Enable mTLS, or network policies that keep others out: security.networkPolicy.enabled, and with mediaGateway.hostNetwork the nodes' networks in security.networkPolicy.nodeCIDRs" -}}
{{- end -}}
{{- if and (include "voice-gateway.redisInternal" .) (not $v.redis.auth.enabled) (not $policies) -}}
{{- fail "redis.auth.enabled false: whoever can write to Redis can steer calls. Enable it, or network policies that keep others out: security.networkPolicy.enabled, and with mediaGateway.hostNetwork the nodes' networks in security.networkPolicy.nodeCIDRs" -}}
{{- end -}}
{{- if and $v.mediaGateway.hostNetwork (ne $v.mediaGateway.dnsPolicy "ClusterFirstWithHostNet") -}}
{{- fail (printf "mediaGateway.dnsPolicy %s: with hostNetwork the pod finds the other roles only with ClusterFirstWithHostNet" $v.mediaGateway.dnsPolicy) -}}
{{- end -}}
{{- $models := include "voice-gateway.models" . -}}
{{- $store := $v.speechGateway.modelStorage -}}
{{- $scale := include "voice-gateway.autoscaling" (dict "ctx" . "key" "speechGateway") | fromJson -}}
{{- if and (eq $models "claim") $store.enabled (eq $store.accessMode "ReadWriteOnce") (or (and $scale.enabled (gt (int $scale.maxReplicas) 1)) (gt (int $v.speechGateway.replicas) 1)) -}}
{{- fail "speechGateway.modelStorage.accessMode ReadWriteOnce: one node can mount it, but speechGateway may have several pods; say ReadWriteMany or ReadOnlyMany, or hold it at one pod" -}}
{{- end -}}
{{- if eq $models "image" -}}
{{- if not (semverCompare ">=1.31.0-0" .Capabilities.KubeVersion.Version) -}}
{{- fail (printf "speechGateway.modelStorage.image needs Kubernetes 1.31; this is %s: take a volume" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if or (not $store.image.repository) (not (or $store.image.tag $store.image.digest)) }}{{ fail "speechGateway.modelStorage.image: name its repository, and a tag or a digest" }}{{ end -}}
{{- if $store.existingClaim }}{{ fail "speechGateway.modelStorage: image and existingClaim exclude each other" }}{{ end -}}
{{- end -}}
{{- if and $models $store.download.enabled -}}
{{- if not $store.download.files }}{{ fail "speechGateway.modelStorage.download.enabled: name what to fetch in files" }}{{ end -}}
{{- if eq $models "image" }}{{ fail "speechGateway.modelStorage: image and download exclude each other: nothing can be written into an image" }}{{ end -}}
{{- if eq $store.accessMode "ReadOnlyMany" }}{{ fail "speechGateway.modelStorage.download: nothing can be written to a volume with accessMode ReadOnlyMany" }}{{ end -}}
{{- range $store.download.files }}{{ if contains ".." .path }}{{ fail (printf "speechGateway.modelStorage.download: the path %s leads out of the volume" .path) }}{{ end }}{{ end -}}
{{- end -}}
{{- if and (include "voice-gateway.usesModels" .) (not $v.speechGateway.modelStorage.enabled) -}}
{{- fail (printf "speechGateway.config.engine %s needs models: enable speechGateway.modelStorage" (include "voice-gateway.engine" .)) -}}
{{- end -}}
{{- $given := list -}}
{{- range $role, $name := $v.security.mtls.existingSecrets }}{{ if $name }}{{ $given = append $given $role }}{{ end }}{{ end -}}
{{- if and $given (lt (len $given) 4) -}}
{{- fail (printf "security.mtls.existingSecrets names only %s: all four roles need certificates of the same authority" (join ", " $given)) -}}
{{- end -}}
{{- if and $v.security.mtls.enabled $v.security.mtls.certManager.enabled (not $given) (not (include "voice-gateway.hasAPI" (dict "ctx" . "api" "cert-manager.io/v1"))) -}}
{{- fail "security.mtls.certManager.enabled, but this cluster has no cert-manager. Install it, or let the chart make certificates: --set security.mtls.certManager.enabled=false" -}}
{{- end -}}
{{- if and $v.observability.tracing.enabled (not $v.observability.tracing.otlpEndpoint) -}}
{{- fail "observability.tracing.enabled needs observability.tracing.otlpEndpoint, such as http://collector:4318" -}}
{{- end -}}
{{- $e := $v.exposure.ingress -}}
{{- if and (eq $v.exposure.mode "ingress") $v.ingress.enabled $e.host -}}
{{- fail "exposure.ingress.host and ingress.enabled exclude each other: the API would be exposed twice" -}}
{{- end -}}
{{- if and $e.tls.enabled (not $e.tls.secretName) }}{{ fail "exposure.ingress.tls.enabled: name the certificate in exposure.ingress.tls.secretName" }}{{ end -}}
{{- if and (eq $v.exposure.mode "gatewayApi") (not (include "voice-gateway.hasAPI" (dict "ctx" . "api" "gateway.networking.k8s.io/v1"))) -}}
{{- fail "exposure.mode gatewayApi, but this cluster has no Gateway API: install its CRDs and a controller, or say exposure.mode ingress" -}}
{{- end -}}
{{- if and (eq $v.exposure.mode "gatewayApi") $v.ingress.enabled -}}
{{- fail "exposure.mode gatewayApi and ingress.enabled exclude each other: the API would be exposed twice" -}}
{{- end -}}
{{- if and (eq $v.exposure.mode "gatewayApi") (not $v.exposure.gatewayApi.createGateway) (not $v.exposure.gatewayApi.parentRefs) -}}
{{- fail "exposure.mode gatewayApi needs exposure.gatewayApi.parentRefs, or createGateway" -}}
{{- end -}}
{{- if and (eq $v.exposure.mode "gatewayApi") $v.exposure.gatewayApi.createGateway (not $v.exposure.gatewayApi.gatewayClassName) -}}
{{- fail "exposure.gatewayApi.createGateway needs gatewayClassName" -}}
{{- end -}}
{{- /* What only a live cluster can tell. */ -}}
{{- if include "voice-gateway.live" . -}}
{{- if and $v.clusterChecks.podSecurity (or $v.mediaGateway.hostNetwork (and $v.coturn.enabled $v.coturn.hostNetwork)) -}}
{{- $level := dig "metadata" "labels" "pod-security.kubernetes.io/enforce" "privileged" ((lookup "v1" "Namespace" "" .Release.Namespace) | default dict) -}}
{{- if ne $level "privileged" -}}
{{- fail (printf "the namespace %s enforces Pod Security %s, which refuses pods with hostNetwork, such as those of media. Label it pod-security.kubernetes.io/enforce=privileged, take another, or set mediaGateway.hostNetwork: false and mediaGateway.perPod" .Release.Namespace $level) -}}
{{- end -}}
{{- end -}}
{{- $keys := dict -}}
{{- $need := list -}}
{{- with $v.secrets.existingSecret }}{{ $need = concat $need (list (list . "state-key") (list . "api-token")) }}{{ range $v.secrets.extraKeys }}{{ $need = append $need (list $v.secrets.existingSecret .) }}{{ end }}{{ end -}}
{{- if and $v.secrets.existingSecret (eq $v.database.mode "internal") }}{{ $need = append $need (list $v.secrets.existingSecret "postgres-password") }}{{ end -}}
{{- if eq $v.database.mode "external" }}{{ $need = append $need (list (include "voice-gateway.databaseSecret" .) $v.database.external.key) }}{{ end -}}
{{- if not (include "voice-gateway.redisInternal" .) }}{{ $need = append $need (list (include "voice-gateway.redisURLSecret" .) $v.redis.external.key) }}{{ end -}}
{{- if ne $v.storage.mode "file" }}{{ $need = concat $need (list (list (include "voice-gateway.storageSecret" .) "s3-access-key") (list (include "voice-gateway.storageSecret" .) "s3-secret-key")) }}{{ end -}}
{{- if $v.coturn.enabled }}{{ $need = append $need (list (include "voice-gateway.turnSecret" .) "turn-secret") }}{{ end -}}
{{- range $need -}}
{{- /* The chart's own Secret gets what it needs with this very release. */ -}}
{{- if ne (first .) (printf "%s-secrets" (include "voice-gateway.fullname" $ctx)) }}{{ $_ := set $keys (first .) (append (get $keys (first .) | default list) (last .)) }}{{ end -}}
{{- end -}}
{{- range $name, $need := $keys -}}
{{- with lookup "v1" "Secret" $ctx.Release.Namespace $name -}}
{{- $data := .data | default dict -}}
{{- range $need -}}
{{- if not (hasKey $data .) }}{{ fail (printf "the Secret %s has no key %s; pods would wait for it for ever" $name .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $claims := list -}}
{{- if $v.clusterChecks.storageClass -}}
{{- if and (include "voice-gateway.redisInternal" .) $v.redis.replica.persistence.enabled (not $v.redis.replica.persistence.storageClass) }}{{ $claims = append $claims "redis.replica.persistence" }}{{ end -}}
{{- if and (eq $v.database.mode "internal") $v.database.persistence.enabled (not $v.database.persistence.storageClass) }}{{ $claims = append $claims "database.persistence" }}{{ end -}}
{{- if and (eq $v.storage.mode "internalMinio") $v.minio.persistence.enabled (not $v.minio.persistence.storageClass) }}{{ $claims = append $claims "minio.persistence" }}{{ end -}}
{{- $classes := (lookup "storage.k8s.io/v1" "StorageClass" "" "").items | default list -}}
{{- $default := false -}}
{{- range $classes }}{{ if eq "true" (dig "metadata" "annotations" "storageclass.kubernetes.io/is-default-class" "" .) }}{{ $default = true }}{{ end }}{{ end -}}
{{- if and $claims $classes (not $default) -}}
{{- fail (printf "this cluster has no default storage class: name one in %s, or say enabled: false there" (join " and " $claims)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $key, $why := dict "campaignOrchestrator" "there is no such process: workers do its work" "ariManager" "there is no such process: media speaks SIP itself, without Asterisk" "ui" "there is no such process in this version" -}}
{{- if (get $v $key).enabled }}{{ fail (printf "%s.enabled: %s" $key $why) }}{{ end -}}
{{- end -}}
{{- end }}
