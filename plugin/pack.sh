#!/bin/sh
# Makes a Spin plugin of a built spinreg, so that `spin spinreg push …` works:
#
#   sh plugin/pack.sh target/release/spinreg DIR [URL]
#   spin plugins install --yes --file DIR/spinreg.json
#
# Writes `DIR/spinreg-VERSION-OS-ARCH.tar.gz`, with the program in it, and `DIR/spinreg.json`, the plugin's manifest, which
# says where that is and what it hashes to. `URL` is the place from which the archive is going to be downloaded, as in
# `https://example.com/releases`; without it, it is the file in `DIR`.
set -eu
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: sh plugin/pack.sh PROGRAM DIR [URL]" >&2
    exit 2
fi
program=$(cd "$(dirname "$1")" && pwd -P)/$(basename "$1")
mkdir -p "$2"
directory=$(cd "$2" && pwd -P)
# What a path may have and a URL may not, or not as itself; `"` and `\` would end the text of the manifest, too.
escaped=$(printf '%s' "$directory" | sed 's/%/%25/g; s/ /%20/g; s/"/%22/g; s/#/%23/g; s/?/%3F/g; s/\\/%5C/g')
url=${3-file://$escaped}

version=$("$program" --version)
version=${version#spinreg }
case $(uname -s) in
Linux) os=linux ;;
Darwin) os=macos ;;
*)
    echo "Spin has no plugins for $(uname -s)" >&2
    exit 1
    ;;
esac
case $(uname -m) in
x86_64 | amd64) arch=amd64 ;;
aarch64 | arm64) arch=aarch64 ;;
*)
    echo "Spin has no plugins for $(uname -m)" >&2
    exit 1
    ;;
esac

archive=spinreg-$version-$os-$arch.tar.gz
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
# Spin looks for a program of the plugin's name at the top of the archive.
cp "$program" "$stage/spinreg"
chmod 755 "$stage/spinreg"
(cd "$stage" && tar -cf - spinreg) | gzip -n >"$directory/$archive"
if command -v sha256sum >/dev/null; then
    hash=$(sha256sum "$directory/$archive")
else
    hash=$(shasum -a 256 "$directory/$archive")
fi
cat >"$directory/spinreg.json" <<END
{
  "name": "spinreg",
  "description": "Publishes, fetches, verifies and runs Spin applications through any OCI registry.",
  "version": "$version",
  "spinCompatibility": ">=2.0",
  "license": "Apache-2.0",
  "packages": [
    {
      "os": "$os",
      "arch": "$arch",
      "url": "$url/$archive",
      "sha256": "${hash%% *}"
    }
  ]
}
END
echo "$directory/spinreg.json"
