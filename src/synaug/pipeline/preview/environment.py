"""Describe this installation and machine in a block to paste into a bug report: no user name, no token, no address."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from synaug.runtime import available_kinds, can_train, counted, installed_version, storage
from synaug.runtime.security import redacted

PACKAGES = {
    "needed": (
        "synaug", "torch", "torchvision", "timm", "diffusers", "transformers", "accelerate", "huggingface_hub",
        "safetensors", "numpy", "pandas", "pyarrow", "Pillow", "scikit-learn", "fairlearn", "pydantic", "typer",
    ),
    "optional": ("peft", "datasets", "ray", "httpx", "pillow-heif", "onnx", "onnxruntime", "tensorboard", "wandb"),
}  # fmt: skip
SHOWN_VARIABLES = (  # numbers, switches and paths, whose values explain the behavior of libraries
    "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE", "HF_HOME", "OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "MKL_NUM_THREADS",
    "PYTORCH_CUDA_ALLOC_CONF", "SYNAUG_WEIGHTS", "TMPDIR",
)  # fmt: skip
SECRET_VARIABLES = (
    "HF_TOKEN",
    "OPENAI_API_KEY",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "RAY_ADDRESS",
)  # only whether they are set
_GIB = 2**30


def environment(*, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return versions, system, devices, memory, disk, caches and variables that matter; sizes are in bytes.

    Paths in the home folder begin with ``~``; variables that hold secrets or addresses are only listed as set.
    """
    memory = psutil.virtual_memory()
    return {
        "packages": {kind: {name: installed_version(name) for name in names} for kind, names in PACKAGES.items()},
        "system": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory": memory.total,
            "memory_available": memory.available,
        },
        "devices": list(_devices()),
        "disk": {_short(path): shutil.disk_usage(path).free for path in (Path.cwd(), Path.home()) if path.exists()},
        "caches": {_short(path): storage.size(path) for path in _caches(environ)},
        "variables": {name: redacted(_without_home(environ[name])) for name in SHOWN_VARIABLES if name in environ}
        | {name: "set" for name in SECRET_VARIABLES if environ.get(name)},
    }


def environment_block(content: Mapping[str, Any]) -> str:
    """Return ``environment`` as lines to paste."""
    needed, optional = content["packages"]["needed"], content["packages"]["optional"]
    missing = [name for name, version in (needed | optional).items() if version is None]
    system = content["system"]
    lines = [
        f"python {system['python']}, {system['platform']}",
        ", ".join(f"{name} {version}" for name, version in (needed | optional).items() if version is not None),
        f"not installed: {', '.join(missing) or 'none'}",
        f"{system['cores']} cores, {_gib(system['memory_available'])} of {_gib(system['memory'])} memory available",
    ]
    for device in content["devices"]:
        memory = "" if device["memory"] is None else f", {_gib(device['memory_free'])} of {_gib(device['memory'])} free"
        lines.append(f"device {device['name']}: {device['model']}{memory}")
    lines += [f"disk of {place}: {_gib(free)} free" for place, free in content["disk"].items()]
    lines += [f"cache {place}: {_gib(size)}" for place, size in content["caches"].items()]
    lines += [f"{name}={value}" for name, value in content["variables"].items()]
    return "\n".join(lines)


def _devices() -> Iterator[dict[str, Any]]:
    if not can_train():
        return
    import torch

    threads = f"{platform.processor() or platform.machine()}, {counted(torch.get_num_threads(), 'thread')}"
    for kind in available_kinds():
        if kind != "cuda":
            yield {
                "name": kind,
                "model": threads if kind == "cpu" else "Apple GPU",
                "memory": None,
                "memory_free": None,
            }
            continue
        for number in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(number)
            model = f"{torch.cuda.get_device_name(number)} (CUDA {torch.version.cuda})"
            yield {"name": f"cuda:{number}", "model": model, "memory": total, "memory_free": free}


def _caches(environ: Mapping[str, str]) -> list[Path]:
    home = Path(environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    return [
        path
        for path in (home, Path("~/.cache/synaug").expanduser(), Path("~/.cache/torch").expanduser())
        if path.is_dir()
    ]


def _short(path: Path) -> str:
    return _without_home(str(path))


def _without_home(text: str) -> str:
    """Return text in which the home folder, which holds a user name, is ``~``."""
    home = str(Path.home())
    return text if home in ("/", "") else text.replace(home, "~")


def _gib(size: float) -> str:
    return f"{size / _GIB:.1f} GiB"
