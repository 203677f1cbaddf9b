#!/bin/sh
# Makes a model of random numbers, and the manifest that lists its parts.
# Usage: make-model.sh [PARTS [KIB]]: the number of parts, and the size of each in KiB.
set -eu
cd "$(dirname "$0")"
parts=${1:-4}
kib=${2:-1024}
list=
part=1
while [ "$part" -le "$parts" ]; do
  name="model-$part.bin"
  head -c $((kib * 1024)) /dev/urandom >"$name"
  sha256=$({ sha256sum "$name" 2>/dev/null || shasum -a 256 "$name"; } | cut -d " " -f 1)
  list="$list${list:+,}
    {\"url\": \"$name\", \"bytes\": $((kib * 1024)), \"sha256\": \"$sha256\"}"
  part=$((part + 1))
done
printf '{"parts": [%s\n]}\n' "$list" >manifest.json
