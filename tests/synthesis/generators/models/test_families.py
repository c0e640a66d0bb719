"""Test pipeline families, built from the libraries' own classes with random weights, through loader and command."""

import inspect
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from synaug.config import GenerateOptions
from synaug.errors import OptionError
from synaug.runtime.quiet import quiet
from synaug.synthesis.generators.diffusion import denoiser_of
from synaug.synthesis.generators.loading import load_generator
from synaug.synthesis.generators.models.families import family_of


@pytest.fixture(scope="session")
def text_parts(script, tmp_path_factory):
    """Tiny CLIP and T5 text encoders with their tokenizers."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPTextConfig,
        CLIPTextModel,
        CLIPTextModelWithProjection,
        Gemma2Config,
        Gemma2Model,
        PreTrainedTokenizerFast,
        T5Config,
        T5EncoderModel,
    )

    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        clip_tokenizer = script.make_tokenizer(tmp_path_factory.mktemp("tokenizer"))
        words = ["<pad>", "</s>", "<unk>", "a", "photo", "of", "bag", "coat"]
        t5 = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
        t5.pre_tokenizer = pre_tokenizers.Whitespace()
        t5_tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=t5, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=64
        )
        clip_config = CLIPTextConfig(
            vocab_size=len(clip_tokenizer), hidden_size=16, intermediate_size=16, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=20, projection_dim=16,
            bos_token_id=clip_tokenizer.bos_token_id, eos_token_id=clip_tokenizer.eos_token_id,
        )  # fmt: skip
        gemma_config = Gemma2Config(
            vocab_size=8, hidden_size=8, head_dim=16, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, attn_implementation="eager", pad_token_id=0, bos_token_id=1, eos_token_id=1,
        )  # fmt: skip
        t5_config = T5Config(vocab_size=8, d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        return {
            "clip_tokenizer": clip_tokenizer,
            "t5_tokenizer": t5_tokenizer,
            "clip": CLIPTextModelWithProjection(clip_config).eval(),
            "plain_clip": CLIPTextModel(clip_config).eval(),
            "t5": T5EncoderModel(t5_config).eval(),
            "gemma": Gemma2Model(gemma_config).eval(),
        }


def autoencoder(latent_channels=4):
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"), latent_channels=latent_channels,
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"), block_out_channels=(8, 8), norm_num_groups=4,
        shift_factor=0.0, scaling_factor=1.0, sample_size=32,
    )  # fmt: skip


def sdxl(parts):
    import diffusers

    unet = diffusers.UNet2DConditionModel(
        sample_size=16, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=32, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=16 + 6 * 8,
    )  # fmt: skip
    return diffusers.StableDiffusionXLPipeline(
        vae=autoencoder(), unet=unet, scheduler=diffusers.EulerDiscreteScheduler(timestep_spacing="trailing"),
        text_encoder=parts["clip"], text_encoder_2=parts["clip"], tokenizer=parts["clip_tokenizer"],
        tokenizer_2=parts["clip_tokenizer"],
    )  # fmt: skip


def lcm(parts):
    import diffusers

    unet = diffusers.UNet2DConditionModel(
        sample_size=16, block_out_channels=(8, 16), layers_per_block=1, cross_attention_dim=16, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4, time_cond_proj_dim=32,
    )  # fmt: skip
    return diffusers.LatentConsistencyModelPipeline(
        vae=autoencoder(), unet=unet, scheduler=diffusers.LCMScheduler(), text_encoder=parts["plain_clip"],
        tokenizer=parts["clip_tokenizer"], safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip


def sd3(parts):
    import diffusers

    transformer = diffusers.SD3Transformer2DModel(
        sample_size=16, patch_size=2, in_channels=4, out_channels=4, num_layers=1, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=32, caption_projection_dim=16, pooled_projection_dim=32,
    )  # fmt: skip
    return diffusers.StableDiffusion3Pipeline(
        transformer=transformer, vae=autoencoder(), scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=parts["clip"], tokenizer=parts["clip_tokenizer"], text_encoder_2=parts["clip"],
        tokenizer_2=parts["clip_tokenizer"], text_encoder_3=parts["t5"], tokenizer_3=parts["t5_tokenizer"],
    )  # fmt: skip


def flux(parts):
    import diffusers

    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=32, pooled_projection_dim=16, axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    return diffusers.FluxPipeline(
        transformer=transformer, vae=autoencoder(4), scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        text_encoder=parts["plain_clip"], tokenizer=parts["clip_tokenizer"], text_encoder_2=parts["t5"],
        tokenizer_2=parts["t5_tokenizer"],
    )  # fmt: skip


def pixart(parts):
    import diffusers

    transformer = diffusers.PixArtTransformer2DModel(
        sample_size=16, patch_size=2, in_channels=4, out_channels=8, num_layers=1, attention_head_dim=8,
        num_attention_heads=2, cross_attention_dim=16, caption_channels=32, use_additional_conditions=False,
    )  # fmt: skip
    return diffusers.PixArtSigmaPipeline(
        transformer=transformer, vae=autoencoder(), scheduler=diffusers.DPMSolverMultistepScheduler(),
        text_encoder=parts["t5"], tokenizer=parts["t5_tokenizer"],
    )  # fmt: skip


def sana(parts):
    import diffusers

    transformer = diffusers.SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=4,
        num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=8,
        sample_size=16,
    )  # fmt: skip
    dims = {"block_types": ("ResBlock", "EfficientViTBlock"), "block_out_channels": (8, 8), "layers_per_block": (1, 1),
            "qkv_multiscales": ((), (5,))}  # fmt: skip
    vae = diffusers.AutoencoderDC(
        latent_channels=4, attention_head_dim=2, downsample_block_type="conv", upsample_block_type="interpolate",
        decoder_norm_types="rms_norm", decoder_act_fns="silu", scaling_factor=0.4,
        **{f"{part}_{name}": value for part in ("encoder", "decoder") for name, value in dims.items()},
    )  # fmt: skip
    return diffusers.SanaPipeline(
        transformer=transformer, vae=vae, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0),
        text_encoder=parts["gemma"], tokenizer=parts["t5_tokenizer"],
    )  # fmt: skip


@pytest.fixture(scope="session")
def folders(text_parts, tmp_path_factory):
    made = {}
    for build in (sdxl, lcm, sd3, flux, pixart, sana):
        made[build.__name__] = tmp_path_factory.mktemp("families") / build.__name__
        with quiet(), torch.random.fork_rng():
            torch.manual_seed(0)
            build(text_parts).save_pretrained(made[build.__name__])
    return made


FAMILIES = [
    ("sdxl", "SDXL", "EulerDiscreteScheduler", True),
    ("lcm", "LCM", "LCMScheduler", True),
    ("sd3", "SD 3", "FlowMatchEulerDiscreteScheduler", True),
    ("flux", "FLUX", "FlowMatchEulerDiscreteScheduler", True),
    ("pixart", "PixArt", "DPMSolverMultistepScheduler", False),
    ("sana", "Sana", "FlowMatchEulerDiscreteScheduler", False),
]


@pytest.mark.parametrize(("name", "family", "scheduler", "_offers"), FAMILIES)
def test_a_family_keeps_the_contract(folders, name, family, scheduler, _offers):
    """An image depends only on its own prompt and seed, and equals the plain pipeline's."""
    options = GenerateOptions(device="cpu", steps=2, size=32, batch_size=4)
    generator = load_generator(str(folders[name]), options)
    prompts = ["a photo of a bag", "a photo of a coat", "a photo of a bag"]
    made = [np.asarray(each.image, int) for each in generator(prompts, seeds=[1, 2, 3])]
    assert [image.shape for image in made] == [(32, 32, 3)] * 3
    about = generator.about
    assert (about["family"], about["scheduler"], about["steps"]) == (family, scheduler, 2)
    alone = np.asarray(generator(prompts[1:2], seeds=[2])[0].image, int)
    assert np.abs(alone - made[1]).max() <= 2
    assert np.abs(made[0] - made[2]).max() > 2
    own, taken = generator.pipeline, inspect.signature(type(generator.pipeline).__call__).parameters
    plainly = {name: False for name in ("use_resolution_binning", "clean_caption") if name in taken}
    with quiet():
        plain = own(
            prompts[0], num_inference_steps=2, guidance_scale=about["guidance"], height=32, width=32,
            generator=torch.Generator().manual_seed(1), **plainly,
        )  # fmt: skip
    assert np.abs(np.asarray(plain.images[0], int) - made[0]).max() <= 2


@pytest.mark.parametrize("name", ["sdxl", "sd3", "sana"])
def test_guidance_can_be_kept_to_a_part_of_the_steps(folders, name):
    options = GenerateOptions(device="cpu", steps=4, size=32, guidance=8.0, guidance_interval=(0.25, 0.75))
    generator, scales = load_generator(str(folders[name]), options), []
    denoiser_of(generator.pipeline).register_forward_pre_hook(
        lambda *_: scales.append(generator.pipeline.guidance_scale)
    )
    assert generator(["a photo of a bag"], seeds=[1])[0].problem is None
    assert [scale == 8 for scale in scales] == [False, True, True, False]


@pytest.mark.parametrize("name", ["flux", "pixart", "lcm"])
def test_a_model_whose_guidance_cannot_change_between_steps_refuses_an_interval(folders, name):
    options = GenerateOptions(device="cpu", steps=4, size=32, guidance=4.0, guidance_interval=(0.25, 0.75))
    with pytest.raises(OptionError, match=r"Pipeline does not let its guidance change between steps\."):
        load_generator(str(folders[name]), options)


@pytest.mark.parametrize(("name", "_family", "_scheduler", "offers"), FAMILIES)
def test_image_to_image_works_or_is_a_clear_error(folders, name, _family, _scheduler, offers):
    options = GenerateOptions(device="cpu", steps=2, size=32)
    if not offers:
        with pytest.raises(OptionError, match=r"image-to-image \(variant 'intra'.*'inter'\)"):
            load_generator(str(folders[name]), options, variant="intra")
        return
    generator = load_generator(str(folders[name]), options, variant="intra")
    made = generator(["a photo of a bag"], seeds=[1], images=[Image.new("RGB", (20, 20), "red")])
    assert made[0].image.size == (32, 32)


@pytest.fixture(scope="session")
def stable_diffusions(stable_diffusion, tmp_path_factory):
    """The same weights as three models of the family: plain, distilled for one step, and with a few-step scheduler."""
    import diffusers

    made = {}
    for name in ("sd", "sd_turbo", "sd_lcm"):
        made[name] = shutil.copytree(stable_diffusion, tmp_path_factory.mktemp("models") / name)
        (made[name] / "synaug.json").unlink()
    with quiet():
        lcm = diffusers.LCMScheduler.from_pretrained(made["sd_lcm"], subfolder="scheduler")
        lcm.save_pretrained(made["sd_lcm"] / "scheduler")
    index = json.loads((made["sd_lcm"] / "model_index.json").read_text())
    (made["sd_lcm"] / "model_index.json").write_text(json.dumps(index | {"scheduler": ["diffusers", "LCMScheduler"]}))
    return made


@pytest.mark.parametrize(
    ("name", "family", "steps", "guidance"),
    [
        ("sd", "SD 1 or 2", 25, 7.5),
        ("sd_turbo", "SD-Turbo", 1, 0.0),
        ("sd_lcm", "SD few-step", 4, 1.0),
        ("sdxl", "SDXL", 25, 5.0),
        ("sd3", "SD 3", 28, 7.0),
        ("flux", "FLUX", 28, 3.5),
        ("pixart", "PixArt", 20, 4.5),
        ("sana", "Sana", 20, 4.5),
        ("lcm", "LCM", 4, 8.0),
    ],
)
def test_the_command_generates_the_plan_with_the_needs_of_the_family(
    synaug, photos, folders, stable_diffusions, tmp_path, name, family, steps, guidance
):
    model = str((folders | stable_diffusions)[name])
    (tmp_path / "recipe.json").write_text(json.dumps({"generate": {"size": 32}, "quality": {"gates": []}}))
    options = ["--recipe", tmp_path / "recipe.json", "--model", model, "--target", 8]
    planned = synaug("plan", photos, "--out", tmp_path / "run", *options, "--json")
    assert planned.code == 0, planned.err
    made = synaug("generate", tmp_path / "run", "--json")
    assert made.code == 0, made.err
    wanted = sum(json.loads(planned.out)["num_to_generate"].values())
    assert json.loads(made.out)["accepted"] == wanted > 1
    (journal,) = (tmp_path / "run" / "journal").glob("worker-*")
    about = json.loads(journal.read_text().splitlines()[0])["about"]
    assert (about["family"], about["steps"], about["guidance"], about["size"]) == (family, steps, guidance, 32)
    assert json.loads((tmp_path / "run" / "synaug.lock.json").read_text())["model"]["model"] == model
    images = [np.asarray(Image.open(path)) for path in (tmp_path / "run" / "synthetic").rglob("*.png")]
    assert len({image.tobytes() for image in images}) == wanted


@pytest.mark.parametrize(
    ("pipeline", "model", "scheduler", "expected"),
    [
        ("StableDiffusionPipeline", "stable-diffusion-v1-5", "PNDMScheduler", (25, 7.5)),
        ("StableDiffusionPipeline", "stabilityai/sd-turbo", "EulerDiscreteScheduler", (1, 0.0)),
        ("StableDiffusionXLPipeline", "stabilityai/sdxl-turbo", "", (1, 0.0)),
        ("StableDiffusionXLPipeline", "some/xl", "LCMScheduler", (4, 1.0)),
        ("FluxPipeline", "black-forest-labs/FLUX.1-schnell", "", (4, 0.0)),
        ("FluxImg2ImgPipeline", "black-forest-labs/FLUX.1-dev", "", (28, 3.5)),
        ("LatentConsistencyModelPipeline", "SimianLuo/LCM_Dreamshaper_v7", "", (4, 8.0)),
        ("PixArtSigmaPipeline", "PixArt-alpha/PixArt-Sigma", "", (20, 4.5)),
        ("StableDiffusionControlNetPipeline", "", "", (25, 7.5)),
        ("SomeOtherPipeline", "", "", (28, 5.0)),
    ],
)
def test_steps_and_guidance_follow_the_family(pipeline, model, scheduler, expected):
    family = family_of(pipeline, model=model, scheduler=scheduler)
    assert (family.steps, family.guidance) == expected
