"""Test the generator on real pipelines with random weights: seeds, embeddings, guidance, bad images, bad models."""

import contextlib
import json
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from synaug.config import GenerateOptions
from synaug.errors import EnvironmentFault, OptionError
from synaug.runtime.quiet import quiet, without_warnings
from synaug.synthesis.generators import prompt_embeddings
from synaug.synthesis.generators.diffusion import DiffusionGenerator, Settings
from synaug.synthesis.generators.loading import load_generator
from synaug.synthesis.generators.models import family_of

PROMPTS = ["a photo of a bag", "a photo of a coat", "a photo of a bag"]


@pytest.fixture(scope="module")
def generator(stable_diffusion):
    return load_generator(str(stable_diffusion), GenerateOptions(device="cpu"))


def pixels(made):
    return np.stack([np.asarray(each.image) for each in made])


def test_an_image_depends_on_its_prompt_and_seed_only(generator):
    together = pixels(generator(PROMPTS, seeds=[1, 2, 3])).astype(int)
    alone = pixels([generator([p], seeds=[s])[0] for p, s in zip(PROMPTS, [1, 2, 3], strict=True)])
    assert together.shape == (3, 32, 32, 3)
    assert np.abs(together - alone).max() <= 1
    assert np.abs(together[0] - together[2]).mean() > 5


def test_the_same_batch_gives_the_same_bytes(generator):
    first, second = (pixels(generator(PROMPTS, seeds=[5, 6, 7])) for _ in range(2))
    assert (first == second).all()


def test_a_given_batch_size_is_the_shape_of_every_batch(stable_diffusion):
    generator = load_generator(str(stable_diffusion), GenerateOptions(device="cpu", batch_size=4))
    shapes = []
    generator.pipeline.vae.decoder.register_forward_pre_hook(lambda _m, args: shapes.append(len(args[0])))
    whole = pixels(generator([*PROMPTS, PROMPTS[0]], seeds=[1, 2, 3, 4]))
    assert (pixels(generator(PROMPTS[1:2], seeds=[2])) == whole[1:2]).all()
    assert len(generator(PROMPTS * 2, seeds=range(6))) == 6
    assert set(shapes) == {4}


def test_it_equals_the_plain_pipeline(generator, stable_diffusion):
    from diffusers import StableDiffusionPipeline

    plain = StableDiffusionPipeline.from_pretrained(stable_diffusion)
    plain.set_progress_bar_config(disable=True)
    with quiet():
        expected = plain(
            PROMPTS[0], num_inference_steps=2, guidance_scale=1.5, generator=torch.Generator().manual_seed(9)
        ).images[0]
    got = generator([PROMPTS[0]], seeds=[9])[0].image
    assert np.abs(np.asarray(expected, int) - np.asarray(got, int)).max() <= 1


def test_weights_lie_channels_last(generator):
    """The fast layout; a test above shows that it changes no image, since the plain pipeline uses the other one."""
    for network in (generator.pipeline.unet, generator.pipeline.vae):
        wide = [value for value in network.parameters() if value.dim() == 4 and min(value.shape[1:]) > 1]
        assert len(wide) > 3
        assert all(value.is_contiguous(memory_format=torch.channels_last) for value in wide)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # from the compiler
def test_compiled_it_makes_the_same_images(generator, stable_diffusion):
    compiled = load_generator(str(stable_diffusion), GenerateOptions(device="cpu", compile=True))
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for prompts in (PROMPTS, PROMPTS[:2]):
        seeds = range(len(prompts))
        made, expected = (pixels(each(prompts, seeds=seeds)).astype(int) for each in (compiled, generator))
        assert np.abs(made - expected).max() <= 2
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > graphs


def test_each_distinct_prompt_is_encoded_once(stable_diffusion):
    generator = load_generator(str(stable_diffusion), GenerateOptions(device="cpu"))
    sizes = []
    generator.pipeline.text_encoder.register_forward_pre_hook(
        lambda _m, args, kwargs: sizes.append(len(args[0])), with_kwargs=True
    )
    generator(PROMPTS * 3, seeds=range(9))
    generator(PROMPTS, seeds=range(3))
    assert sizes == [2, 2]  # two prompts, and their empty counterparts for guidance


def test_without_guidance_there_is_one_pass(stable_diffusion):
    generator = load_generator(str(stable_diffusion), GenerateOptions(device="cpu", guidance=1.0, steps=1))
    sizes = []
    generator.pipeline.unet.register_forward_pre_hook(lambda _m, args: sizes.append(len(args[0])))
    generator(PROMPTS, seeds=[1, 2, 3])
    assert sizes == [3]


def test_guidance_applies_within_its_interval_only(stable_diffusion):
    def made(**options):
        return pixels(
            load_generator(str(stable_diffusion), GenerateOptions(device="cpu", steps=4, **options))(
                PROMPTS, seeds=[1, 2, 3]
            )
        ).astype(int)

    plain, guided = made(guidance=1.0), made(guidance=6.0)
    middle, start = (made(guidance=6.0, guidance_interval=part) for part in ((0.25, 0.75), (0.0, 0.25)))
    assert np.abs(guided - plain).mean() > 2
    for some in (middle, start):
        assert np.abs(some - plain).mean() > 0.2
        assert np.abs(some - guided).mean() > 0.2
    with pytest.raises(OptionError, match=r"steps begins there; they begin at 0, 0\.25, 0\.5, 0\.75\."):
        made(guidance=6.0, guidance_interval=(0.9, 1.0))
    again = made(guidance=6.0, guidance_interval=(0.0, 1.0))
    assert (again == guided).all()


def test_the_steps_that_image_to_image_takes_are_those_that_count(stable_diffusion):
    options = {"device": "cpu", "steps": 10, "strength": 0.3, "guidance": 3.0}
    with pytest.raises(OptionError, match=r"steps begins there; they begin at 0, 0\.33, 0\.67\."):
        load_generator(str(stable_diffusion), GenerateOptions(guidance_interval=(0.7, 1.0), **options), variant="intra")
    load_generator(str(stable_diffusion), GenerateOptions(guidance_interval=(0.6, 1.0), **options), variant="intra")


def test_each_step_of_the_interval_is_guided_and_no_other(stable_diffusion):
    options = GenerateOptions(device="cpu", steps=5, guidance=3.0, guidance_interval=(0.4, 0.8))
    generator = load_generator(str(stable_diffusion), options)
    scales = []
    generator.pipeline.unet.register_forward_pre_hook(lambda *_: scales.append(generator.pipeline.guidance_scale))
    for _ in range(2):  # the second batch begins without guidance, too
        generator(PROMPTS[:1], seeds=[1])
    assert [scale > 2 for scale in scales] == [False, False, True, True, False] * 2
    assert generator.about["guidance_interval"] == [0.4, 0.8]


def test_an_interval_without_guidance_is_refused(stable_diffusion):
    with pytest.raises(OptionError, match=r"guidance_interval has no effect, since generate\.guidance is 1\."):
        load_generator(str(stable_diffusion), GenerateOptions(device="cpu", guidance=1.0, guidance_interval=(0.2, 0.8)))
    with pytest.raises(ValueError, match="from a share of the steps to a larger one"):
        GenerateOptions(guidance_interval=(0.8, 0.2))


def test_defaults_come_from_the_folder_then_from_options(generator, stable_diffusion):
    about = generator.about
    assert (about["steps"], about["guidance"], about["size"], about["license"]) == (2, 1.5, 32, "apache-2.0")
    assert (about["dtype"], about["pipeline"], generator.batch_size) == ("float32", "StableDiffusionPipeline", 8)
    assert json.dumps(about)
    other = load_generator(str(stable_diffusion), GenerateOptions(steps=7, batch_size=2, device="cpu"))
    assert (other.about["steps"], other.batch_size) == (7, 2)


def test_the_scheduler_is_the_familys_or_the_one_that_is_named(generator, stable_diffusion):
    assert generator.about["scheduler"] == "UniPCMultistepScheduler"
    options = GenerateOptions(device="cpu", scheduler="EulerAncestralDiscreteScheduler")
    other = load_generator(str(stable_diffusion), options)
    assert other.about["scheduler"] == "EulerAncestralDiscreteScheduler"
    made = [pixels(each(PROMPTS, seeds=[1, 2, 3])).astype(int) for each in (generator, other)]
    assert np.abs(made[0] - made[1]).max() > 2
    with pytest.raises(OptionError, match=r"Unknown scheduler of this model 'Euler'\. .*EulerDiscreteScheduler"):
        load_generator(str(stable_diffusion), GenerateOptions(device="cpu", scheduler="Euler"))


def test_an_image_that_is_not_finite_is_a_problem_and_not_black(stable_diffusion):
    generator = load_generator(str(stable_diffusion), GenerateOptions(device="cpu"))

    def broken(_module, _args, output):
        output = output.clone()
        output[1, 0, 0, 0] = float("inf")
        return output

    generator.pipeline.vae.decoder.register_forward_hook(broken, prepend=True)
    made = generator(PROMPTS, seeds=[1, 2, 3])
    assert [each.problem for each in made] == [None, "non_finite", None]
    assert made[1].image is None


CPU_IS_FULL = RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError("no more"), CPU_IS_FULL, MemoryError()])
def test_out_of_memory_halves_the_batch_and_changes_no_image(generator, stable_diffusion, error):
    small = load_generator(str(stable_diffusion), GenerateOptions(device="cpu"))

    def fail_above_two_images(_module, args):
        if len(args[0]) > 2 * 2:  # with guidance, each image is there twice
            raise error

    small.pipeline.unet.register_forward_pre_hook(fail_above_two_images)
    got = pixels(small(PROMPTS, seeds=[1, 2, 3])).astype(int)
    assert small.batch_size == 2
    assert np.abs(got - pixels(generator(PROMPTS, seeds=[1, 2, 3]))).max() <= 1


def test_the_batch_grows_while_memory_of_the_device_is_left(generator, monkeypatch):
    settings = Settings(
        steps=1, guidance=1.0, size=None, batch_size=2, batch_may_vary=True, batch_may_grow=True, strength=0.5,
        negative_prompt="",
    )  # fmt: skip
    growing = DiffusionGenerator(generator.pipeline, settings, family=family_of("StableDiffusionPipeline"), about={})
    used = iter([10, 30, 60])
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda _device: next(used))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (0, 100))
    growing(["bag"] * (2 + 4 + 8), seeds=range(14))
    assert growing.batch_size == 8


def test_a_batch_size_that_was_given_does_not_grow(generator, stable_diffusion):
    assert not load_generator(str(stable_diffusion), GenerateOptions(device="cpu", batch_size=2)).batch_may_grow
    assert not generator.batch_may_grow  # on a CPU


@pytest.mark.parametrize(("most", "encodings"), [(1, 3), (1 << 20, 2)])
def test_embedded_prompts_are_bounded_in_bytes(stable_diffusion, monkeypatch, most, encodings):
    generator = load_generator(str(stable_diffusion), GenerateOptions(device="cpu", steps=1))
    monkeypatch.setattr(prompt_embeddings, "MAX_BYTES", most)
    calls = []
    generator.pipeline.text_encoder.register_forward_pre_hook(
        lambda _m, args, kwargs: calls.append(len(args[0])), with_kwargs=True
    )
    for word in ("bag", "coat", "bag"):
        generator([word], seeds=[0])
    assert len(calls) == 2 * encodings  # each of a prompt and of its empty counterpart


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError("no more"), CPU_IS_FULL])
def test_out_of_memory_at_one_image_is_an_error(stable_diffusion, error):
    generator = load_generator(str(stable_diffusion), GenerateOptions(device="cpu"))

    def full(*_):
        raise error

    generator.pipeline.unet.register_forward_pre_hook(full)
    with pytest.raises(EnvironmentFault, match="not enough memory for a single image"):
        generator(PROMPTS, seeds=[1, 2, 3])


def test_image_to_image_starts_from_the_given_images(stable_diffusion):
    options = GenerateOptions(device="cpu", strength=0.5)
    generator = load_generator(str(stable_diffusion), options, variant="intra")
    starts = [Image.new("L", (28, 20), value) for value in (0, 255)]
    first, second = pixels(generator(PROMPTS[:2], seeds=[1, 1], images=starts)).astype(int)
    assert generator.about["pipeline"] == "StableDiffusionImg2ImgPipeline"
    assert first.shape == (32, 32, 3)
    assert np.abs(first - second).mean() > 1
    with pytest.raises(OptionError, match="starts from init images, but none were given"):
        generator(PROMPTS[:1], seeds=[1])


def test_a_missing_device_lists_the_available_ones(stable_diffusion, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EnvironmentFault, match=r"Device .cuda:1. is not available\. Available: cpu"):
        load_generator(str(stable_diffusion), GenerateOptions(device="cuda:1"))


def test_an_unknown_pipeline_class_is_named(stable_diffusion, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(stable_diffusion, folder)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"_class_name": "NextYearPipeline"}))
    with pytest.raises(EnvironmentFault, match=r"is a NextYearPipeline, which diffusers .* does not support"):
        load_generator(str(folder), GenerateOptions(device="cpu"))


def test_damaged_weights_are_an_error_of_the_environment(stable_diffusion, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(stable_diffusion, folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(EnvironmentFault, match="cannot be loaded"):
        load_generator(str(folder), GenerateOptions(device="cpu"))


def test_a_transformer_pipeline_has_a_default_size():
    from synaug.synthesis.generators.diffusion import default_size

    flux = SimpleNamespace(
        unet=None, transformer=SimpleNamespace(config={}), default_sample_size=128, vae_scale_factor=8
    )
    assert default_size(flux) == 1024


def test_it_stays_quiet_while_another_thread_stops_being_so():
    decoding = contextlib.ExitStack()
    decoding.enter_context(without_warnings())
    with quiet():
        decoding.close()
        warnings.warn("of a library", DeprecationWarning, stacklevel=1)
