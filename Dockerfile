# The image has one static program in it, and nothing else: no shell, no packages.
# make image builds the program for the image's machine, lays its files into
# .cache/image and calls whatever builds images here: docker, podman or buildah.
FROM scratch
ARG TARGETARCH
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY enlace-linux-${TARGETARCH} /enlace
# Of enlace serve and demo; api and worker on AWS write nothing.
COPY --chown=65532:65532 data /data
USER 65532:65532
ENV ENLACE_DATA=/data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["/enlace", "health"]
ENTRYPOINT ["/enlace"]
CMD ["serve", "--addr", "0.0.0.0:8080"]
