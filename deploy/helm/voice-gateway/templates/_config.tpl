{{/*
The configuration file of one role; takes ctx and role. A file for each, so that a role gets no secret that it does not use, and a
change that concerns one role does not restart the others: media pods have calls.
*/}}
{{- define "voice-gateway.config" -}}
{{- $v := .ctx.Values -}}
{{- $full := include "voice-gateway.fullname" .ctx -}}
{{- $domain := printf "%s.svc" .ctx.Release.Namespace -}}
{{- $secrets := "/run/secrets/parley" -}}
storage:
  data_dir: /var/lib/voice-gateway
{{- if include "voice-gateway.needsDatabase" . }}
{{- if eq $v.database.mode "internal" }}
  database: "postgres://parley:${file:{{ $secrets }}/postgres-password|uri}@{{ $full }}-postgres.{{ $domain }}:5432/parley"
{{- else }}
  database: "${file:{{ $secrets }}/database-url}"
{{- end }}
{{- else }}
  database: "memory:"
{{- end }}
{{- if ne .role "migrate" }}
{{- if not (include "voice-gateway.redisInternal" .ctx) }}
  redis: "${file:{{ $secrets }}/redis-url}"
{{- else }}
{{- $user := ternary (printf ":${file:%s/redis-password|uri}@" $secrets) "" $v.redis.auth.enabled }}
{{- if eq $v.redis.architecture "replication" }}
{{- $servers := list }}
{{- range $i := until (int $v.redis.replica.replicaCount) }}
{{- $servers = append $servers (printf "%s-redis-%d.%s-redis.%s:26379" $full $i $full $domain) }}
{{- end }}
{{- $query := ternary (printf "?sentinel_password=${file:%s/redis-password|uri}" $secrets) "" $v.redis.auth.enabled }}
  redis: "redis+sentinel://{{ $user }}{{ join "," $servers }}/main{{ $query }}"
{{- else }}
  redis: "redis://{{ $user }}{{ $full }}-redis-0.{{ $full }}-redis.{{ $domain }}:6379"
{{- end }}
{{- end }}
{{- if and (eq .role "speech") (ne $v.storage.mode "file") }}
{{- $o := include "voice-gateway.objects" .ctx | fromJson }}
  objects: "s3://{{ $o.bucket }}?endpoint={{ $o.endpoint }}&region={{ $o.region }}&path_style={{ $o.path }}"
  s3: { access_key_id: "${file:{{ $secrets }}/s3-access-key}", secret_access_key: "${file:{{ $secrets }}/s3-secret-key}" }
{{- end }}
  retention: { transcripts: {{ $v.storage.retention.transcripts }}, events: {{ $v.storage.retention.events }} }
{{- if eq .role "media" }}
media:
  sip_port: {{ include "voice-gateway.sipPort" .ctx }}
  sip_transport: {{ include "voice-gateway.transports" .ctx }}
  rtp_port_range: {{ $v.mediaGateway.config.rtpPortRange | quote }}
  codecs: {{ include "voice-gateway.codecs" .ctx }}
  jitter_buffer_ms: {{ $v.mediaGateway.config.jitterBufferMs }}
{{- if include "voice-gateway.perPod" .ctx }}
  rtp_ports_per_instance: {{ $v.mediaGateway.perPod.rtpPorts }}
  max_calls: {{ min (int $v.mediaGateway.config.maxCalls) (div $v.mediaGateway.perPod.rtpPorts 2) }}
{{- if eq (include "voice-gateway.perPod" .ctx) "LoadBalancer" }}
  advertised_address: "${file:/etc/voice-gateway/address}"
{{- end }}
{{- else }}
  max_calls: {{ $v.mediaGateway.config.maxCalls }}
{{- end }}
  access:
    allow: {{ toJson $v.mediaGateway.config.access.allow }}
    deny: {{ toJson $v.mediaGateway.config.access.deny }}
    max_calls_per_second: {{ $v.mediaGateway.config.access.maxCallsPerSecond }}
{{- end }}
{{- if eq .role "speech" }}
{{- $c := $v.speechGateway.config }}
speech:
  engine: {{ include "voice-gateway.engine" .ctx }}
{{- if include "voice-gateway.usesModels" .ctx }}
  model: {{ $c.model | quote }}
  model_dir: {{ $v.speechGateway.modelStorage.mountPath | quote }}
  gpu: {{ ternary "true" "false" (eq (include "voice-gateway.usesGPU" .ctx) "true") }}
{{- end }}
  language: {{ $c.language | quote }}
  max_workers: {{ $c.maxWorkers }}
  queue_depth: {{ $c.queueDepth }}
  partial_results: {{ $c.partialResults }}
  vad: { threshold: {{ $c.vad.threshold }}, min_silence_ms: {{ $c.vad.minSilenceMs }} }
  tts: { voice: {{ $c.tts.voice | quote }}, speed: {{ $c.tts.speed }}, cache_mb: {{ $c.tts.cacheMb }} }
{{- end }}
runtime:
  state_store: {{ $v.runtime.config.stateStore }}
{{- if eq .role "runtime" }}
  dialog_dir: /etc/voice-gateway/dialogs
  max_concurrent_calls: {{ $v.runtime.config.maxConcurrentCalls }}
  default_timeout: {{ $v.runtime.config.defaultTimeout }}
  barge_in: {{ $v.runtime.config.bargeIn }}
{{- with $v.runtime.config.llm }}
{{- if .url }}
  llm:
    url: {{ .url | quote }}
    model: {{ .model | quote }}
{{- if .apiKeyName }}
    api_key: "${file:{{ $secrets }}/{{ .apiKeyName }}}"
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if has .role (list "runtime" "integration" "worker") }}
{{- $c := $v.integration.config }}
integration:
{{- if eq .role "integration" }}
  api_port: {{ $v.integration.service.apiPort }}
  default_timeout: {{ $c.defaultTimeout }}
  max_retries: {{ $c.maxRetries }}
  cors: { allowed_origins: {{ toJson $c.corsAllowedOrigins }} }
{{- end }}
{{- if and $c.services (ne .role "worker") }}
  services: {{- toYaml $c.services | nindent 4 }}
{{- end }}
  outbound:
    allow_private: {{ toJson $c.outbound.allowPrivate }}
    deny: {{ toJson $c.outbound.deny }}
{{- end }}
cluster:
  speech: ["{{ $full }}-speech.{{ $domain }}:50051"]
  runtime: ["{{ $full }}-runtime.{{ $domain }}:50052"]
  integration: ["{{ $full }}-integration-hop.{{ $domain }}:50053"]
{{- if include "voice-gateway.deletionCost" . }}
  pod_deletion_cost: true
{{- end }}
observability:
  metrics: { enabled: {{ $v.observability.metrics.enabled }}, port: {{ include "voice-gateway.metricsPort" . }} }
  tracing: { enabled: {{ $v.observability.tracing.enabled }}, otlp_endpoint: {{ $v.observability.tracing.otlpEndpoint | quote }}, sample_ratio: {{ $v.observability.tracing.sampleRatio }} }
  log: { level: {{ $v.observability.log.level }}, format: json }
security:
  state_keys: ["${file:{{ $secrets }}/state-key}"]
{{- if include "voice-gateway.usesTLS" . }}
  mtls: { enabled: true, cert_dir: /run/secrets/tls }
{{- end }}
{{- if eq .role "integration" }}
  api:
    tokens: ["${file:{{ $secrets }}/api-token}"]
{{- with $v.security.api.jwt }}
{{- if .jwksUrl }}
    jwt: { jwks_url: {{ .jwksUrl | quote }}, issuer: {{ .issuer | quote }}, audience: {{ .audience | quote }} }
{{- end }}
{{- end }}
{{- end }}
  audit: { enabled: {{ $v.security.audit.enabled }} }
  pii: { redact: {{ toJson $v.security.pii.redact }} }
{{- end }}
{{- end }}
