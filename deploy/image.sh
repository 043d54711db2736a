#!/bin/sh
# Builds the container image, and with push pushes it to its registry:
# deploy/image.sh NAME:TAG amd64|arm64 [push]. The program is compiled here, for the image's machine, so that nothing is fetched and nothing emulated.
set -eu
cd "$(dirname "$0")/.."
image=$1 arch=$2 context=.cache/image

rm -rf "$context" && mkdir -p "$context/data"
CGO_ENABLED=0 GOOS=linux GOARCH=$arch "${GO:-go}" build -trimpath -ldflags=-s -o "$context/enlace-linux-$arch" ./cmd/enlace
for roots in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
	if [ -r "$roots" ]; then cp "$roots" "$context/ca-certificates.crt"; break; fi
done
[ -r "$context/ca-certificates.crt" ] || { echo "no certificate authorities found here: install ca-certificates" >&2; exit 1; }

build() {
	"$@" --platform "linux/$arch" --build-arg TARGETARCH="$arch" -t "$image" -f Dockerfile "$context"
}
if docker version >/dev/null 2>&1; then # its daemon too
	engine=docker
	build docker build
elif command -v podman >/dev/null; then
	engine=podman
	build podman build --format docker
elif command -v buildah >/dev/null; then
	# Files are copied into an empty image: no daemon is needed for it, nor a privilege.
	engine="buildah --storage-driver ${BUILDAH_STORAGE:-vfs}"
	build $engine build --isolation chroot --format docker
else
	echo "docker, podman or buildah is needed: apt-get install buildah, or your system's" >&2
	exit 1
fi
if [ "${3:-}" = push ]; then $engine push "$image"; fi
