# The relay as an image: one binary, glibc and nothing to run besides. test/ops/container.test.ts tries what this promises.
#
#   docker build -t whisper-signaling .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges -p 8000:8000 whisper-signaling
#
# For arm64: docker buildx build --platform linux/arm64 -t whisper-signaling .
# `--compile` embeds the Bun that runs it, so the binary is for the platform of the image below: there is no --target
# to keep in step. On a machine of another processor buildx emulates this stage.

# The version is that of "engines" in package.json.
FROM oven/bun:1.4.5-debian AS build
WORKDIR /build
# The build reads only these, and fetches what makes the browsers' library small, in the version that the lockfile names.
# A new path goes into .dockerignore as well.
COPY package.json ./
COPY bun.lock ./
COPY release ./release
COPY src ./src
# What --version and /metrics name; there is no git here: --build-arg BUILD_COMMIT=$(git rev-parse --short=12 HEAD)
ARG BUILD_COMMIT=""
RUN bun run build

# base, for the binary needs glibc and its loader: static and scratch have none. No shell, no package manager.
FROM gcr.io/distroless/base-debian12:nonroot
# Owned by root, so that the relay can't replace itself. The source map beside it stays behind.
COPY --from=build /build/dist/whisper-signaling /whisper-signaling
# The image's "nonroot", as a number: with a name, Kubernetes can't tell for runAsNonRoot that it isn't root.
USER 65532:65532
# Freed memory goes back to the system at once, and what was in it is gone.
ENV MIMALLOC_PURGE_DELAY=0
EXPOSE 8000
# It joins as three peers, one of which comes back, and takes a session for well under a second. It sees the container's environment, not the
# arguments: move the port by WHISPER_PORT, and switch TLS on by WHISPER_TLS_CERT and WHISPER_TLS_KEY. Kubernetes
# ignores this line: probe GET /health there.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s --retries=3 CMD ["/whisper-signaling", "check"]
# No shell between: the relay is process 1, and `docker stop` reaches it as the SIGTERM on which it drains.
ENTRYPOINT ["/whisper-signaling"]
