# The Eye needs glibc and the C++ runtime: the embedded database is C++.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY clients/go/go.mod clients/go/
RUN go mod download
COPY . .
ENV CGO_ENABLED=1
RUN go build -trimpath -ldflags='-s -w' -o /out/eye ./cmd/eye \
 && mkdir -p /out/data /out/doc \
 && script/notices /out/doc/THIRD_PARTY.txt \
 && cp LICENSE /out/doc/

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/eye /eye
COPY --from=build /out/doc /usr/share/doc/eye
# The volume takes the owner of the folder; 65532 is nonroot.
COPY --from=build --chown=65532:65532 /out/data /data
ENV EYE_LISTEN=0.0.0.0:8080 \
    EYE_DATA=/data
VOLUME /data
EXPOSE 8080
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/eye", "health"]
# 10 s for open requests and 10 s for the rest: give it 30 s to stop.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/eye"]
CMD ["serve"]
