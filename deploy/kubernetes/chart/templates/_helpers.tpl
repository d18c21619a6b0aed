{{- define "tidegate.name" -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "tidegate.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tidegate.labels" -}}
{{ include "tidegate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The container, the same in all modes. */}}
{{- define "tidegate.container" -}}
name: tidegate
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: ["run", "-c", "/etc/tidegate/tidegate.yaml", "--state", "/var/lib/tidegate"]
{{- if eq .Values.mode "sidecar" }}
restartPolicy: Always
{{- end }}
ports:
  - name: http
    containerPort: {{ .Values.port }}
    {{- if eq .Values.mode "daemonset" }}
    hostPort: {{ .Values.hostPort }}
    {{- end }}
  - name: admin
    containerPort: {{ .Values.adminPort }}
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
startupProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 1
  failureThreshold: 30
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  failureThreshold: 1
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
lifecycle:
  # Others still send here for a moment after the pod is told to go; then the image's STOPSIGNAL (QUIT) drains.
  preStop:
    sleep: {seconds: {{ .Values.drain.waitSeconds }}}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  # The folder and not the file: a file that is mounted alone never changes.
  - {name: config, mountPath: /etc/tidegate, readOnly: true}
  - {name: state, mountPath: /var/lib/tidegate}
{{- end -}}

{{/* What is around the container, the same in all modes. */}}
{{- define "tidegate.pod" -}}
serviceAccountName: {{ include "tidegate.name" . }}
automountServiceAccountToken: false
terminationGracePeriodSeconds: {{ add .Values.drain.waitSeconds .Values.drain.graceSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
volumes:
  - name: config
    configMap: {name: {{ include "tidegate.name" . }}}
  - name: state
    emptyDir: {}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
