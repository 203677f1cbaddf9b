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
  head -c $((kib * 1024)) /dev/urandom >"model-$part.bin"
  # The checksum, the length and the name.
  set -- $(cksum "model-$part.bin")
  list="$list${list:+,}
    {\"url\": \"$3\", \"bytes\": $2, \"cksum\": $1}"
  part=$((part + 1))
done
printf '{"parts": [%s\n]}\n' "$list" >manifest.json
