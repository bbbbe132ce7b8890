{{- define "millrace.name" -}}
{{- if contains "millrace" .Release.Name -}}
{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-millrace" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "millrace.selector" -}}
app.kubernetes.io/name: millrace
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "millrace.labels" -}}
{{ include "millrace.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "millrace.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "millrace.name" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end }}

{{- /* Settings as the environment has them: `log-level` is MILLRACE_LOG_LEVEL. Large numbers are not to become 1e+06. */ -}}
{{- define "millrace.environment" -}}
{{- range $name, $value := . }}
MILLRACE_{{ $name | upper | replace "-" "_" }}: {{ if kindIs "float64" $value }}{{ printf "%.15g" $value | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}

{{- /* How far a role is behind, for Prometheus. Each record is counted by one owner; of a partition that has just moved, two may tell. */ -}}
{{- define "millrace.lag" -}}
sum(max by (topic, partition) (millrace_partition_lag_records{namespace="{{ .Release.Namespace }}",role="{{ .role }}"}))
{{- end }}
