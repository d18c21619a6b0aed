#!/bin/sh
# Installs what the load runs need from Debian and PyPI, where it is missing. The harness itself needs the standard library only.
set -eu

# LiteLLM in an environment of its own: it pins half of what it uses.
litellm=$(dirname "$0")/../target/litellm
if [ ! -x "$litellm/bin/litellm" ]; then
  python3 -m venv "$litellm"
  "$litellm/bin/pip" install --quiet "litellm[proxy]==1.106.2"
fi

missing=
for tool in nginx haproxy wrk strace valgrind nghttp2-client:h2load; do
  program=${tool##*:}
  [ -x "/usr/bin/$program" ] || [ -x "/usr/sbin/$program" ] || missing="$missing ${tool%%:*}"
done
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || missing="$missing libnginx-mod-stream"
[ -n "$missing" ] || exit 0

as_root=
[ "$(id -u)" -eq 0 ] || as_root=sudo
$as_root apt-get update -q
# shellcheck disable=SC2086  # one word a package
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
