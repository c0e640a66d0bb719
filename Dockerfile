# Two images: `docker build --target cpu .` and `docker build --target cuda .`
# Models and data sets that synaug downloads are kept in HF_HOME, a volume; mount your images and run directories at /work.
FROM python:3.11-slim AS base
RUN useradd --create-home --uid 1000 synaug \
 && mkdir -p /models /work \
 && chown synaug:synaug /models /work
ENV HF_HOME=/models \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1
COPY constraints.txt pyproject.toml README.md LICENSE /src/
COPY src /src/src

# TORCH_INDEX: a pip index with CPU-only builds of torch, to keep the image small. Empty: the default index.
FROM base AS cpu
ARG TORCH_INDEX=""
ARG EXTRAS="train,hub"
RUN pip install --constraint /src/constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch torchvision \
 && pip install --constraint /src/constraints.txt "/src[$EXTRAS]"
USER synaug
WORKDIR /work
VOLUME ["/models", "/work"]
ENTRYPOINT ["synaug"]
CMD ["--help"]

# The default builds of torch contain the CUDA libraries; the driver comes from the host (docker run --gpus all).
FROM base AS cuda
ARG EXTRAS="train,hub,adapt,cluster"
RUN pip install --constraint /src/constraints.txt "/src[$EXTRAS]"
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER synaug
WORKDIR /work
VOLUME ["/models", "/work"]
ENTRYPOINT ["synaug"]
CMD ["--help"]
