"""Provide real pipelines with random weights, built once, and plans over small realistic sets."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from synaug.config import GenerateOptions, PlanOptions
from synaug.data.images.codec import Encoding
from synaug.data.manifest import from_arrays
from synaug.runtime.quiet import quiet
from synaug.synthesis.planning.planner import make_plan
from synaug.synthesis.writing.questions import beginning

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def script():
    """The training script of the embedded pipeline, for its networks."""
    spec = importlib.util.spec_from_file_location("pretrain_tiny", ROOT / "scripts" / "pretrain_tiny.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def stable_diffusion(tmp_path_factory, script):
    """A folder with the embedded pipeline's networks, untrained."""
    import torch
    from diffusers import StableDiffusionPipeline

    folder = tmp_path_factory.mktemp("models") / "tiny-sd"
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = script.make_tokenizer(folder.with_name("tokenizer"))
        autoencoder = script.make_autoencoder()
        for layer in (autoencoder.encoder.layers[-1], autoencoder.decoder.layers[-1]):
            layer.weight.data *= 30  # otherwise random networks make everything plain gray
        StableDiffusionPipeline(
            vae=autoencoder,
            text_encoder=script.make_text_encoder(tokenizer),
            tokenizer=tokenizer,
            unet=script.make_unet(),
            scheduler=script.make_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Random\n")
    (folder / "synaug.json").write_text('{"steps": 2, "guidance": 1.5, "batch_size": 8}')
    return folder


@pytest.fixture(scope="session")
def real():
    """Thirty gray 12 x 12 images of three classes (20, 7, 3) with a bright square at a class-specific position."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [20, 7, 3])
    images = rng.integers(0, 60, (30, 12, 12)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 * label : 4 * label + 4, 2:10] += np.uint8(150)
    return from_arrays(images, labels, class_names=("top", "middle", "bottom"))


@pytest.fixture(scope="session")
def plan(real):
    """A plan for the 30 images that are missing."""
    return make_plan(
        real,
        options=PlanOptions(model="embedded"),
        generate=GenerateOptions(),
        encoding=Encoding(mode="L"),
        image_size=(12, 12),
    )


@pytest.fixture(scope="session")
def small_diffusion(tmp_path_factory, stable_diffusion):
    """The same with four latent channels, as the inpainting pipeline of diffusers wants them."""
    import torch
    from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel

    folder = tmp_path_factory.mktemp("four") / "tiny-sd"
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(4)
        pipeline = StableDiffusionPipeline.from_pretrained(stable_diffusion)
        vae = AutoencoderTiny.from_config({**pipeline.vae.config, "latent_channels": 4})
        for layer in (vae.encoder.layers[-1], vae.decoder.layers[-1]):
            layer.weight.data *= 30
        unet = UNet2DConditionModel.from_config({**pipeline.unet.config, "in_channels": 4, "out_channels": 4})
        pipeline.register_modules(vae=vae, unet=unet)
        pipeline.save_pretrained(folder)
    for name in ("README.md", "synaug.json"):
        (folder / name).write_bytes((stable_diffusion / name).read_bytes())
    return folder


@pytest.fixture(scope="session")
def adapter(tmp_path_factory, small_diffusion):
    """An IP-Adapter for the tiny Stable Diffusion, with its image encoder, of random weights."""
    import torch
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    folder, tensors = tmp_path_factory.mktemp("adapter"), {}
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(1)
        unet = UNet2DConditionModel.from_pretrained(small_diffusion / "unet")
        cross = unet.config.cross_attention_dim
        encoder = CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                projection_dim=12,
                image_size=32,
                patch_size=8,
            )
        )
        encoder.save_pretrained(folder / "models" / "image_encoder")
        tensors |= {
            "image_proj.proj.weight": torch.randn(4 * cross, 12),
            "image_proj.proj.bias": torch.randn(4 * cross),
            "image_proj.norm.weight": torch.ones(cross),
            "image_proj.norm.bias": torch.zeros(cross),
        }
        number = 1
        for name in unet.attn_processors:
            if name.endswith("attn2.processor"):
                inner = unet.get_submodule(name.removesuffix(".processor")).to_q.weight.shape[0]
                for part in ("k", "v"):
                    tensors[f"ip_adapter.{number}.to_{part}_ip.weight"] = 5 * torch.randn(inner, cross)
                number += 2
    save_file(tensors, folder / "models" / "ip-adapter_sd15.safetensors")
    return folder


@pytest.fixture(scope="session")
def controlnet(tmp_path_factory, small_diffusion):
    """A ControlNet for the tiny Stable Diffusion that is no longer zero."""
    import torch
    from diffusers import ControlNetModel, UNet2DConditionModel

    folder = tmp_path_factory.mktemp("controlnet")
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(2)
        unet = UNet2DConditionModel.from_pretrained(small_diffusion / "unet")
        network = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 16))
        for block in (*network.controlnet_down_blocks, network.controlnet_mid_block):
            torch.nn.init.normal_(block.weight, std=1.0)
        torch.nn.init.normal_(network.controlnet_cond_embedding.conv_out.weight, std=1.0)
        network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory):
    """A CLIPSeg of random weights, prompted with the class in words."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("clipseg")
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    text = {"vocab_size": len(words), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1}  # fmt: skip
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 8}  # fmt: skip
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(3)
        config = transformers.CLIPSegConfig(
            text_config=text,
            vision_config=vision,
            projection_dim=16,
            reduce_dim=8,
            extract_layers=[0, 1],
            decoder_num_attention_heads=2,
            decoder_intermediate_size=16,
        )
        transformers.CLIPSegForImageSegmentation(config).save_pretrained(folder)
        tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
        reader = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
        transformers.CLIPSegProcessor(reader, tokenizer).save_pretrained(folder)
    return folder


WORDS = ("red", "blue", "old", "small", "torn", "wet")


@pytest.fixture(scope="session")
def language_model(tmp_path_factory):
    """A small Llama, trained on the spot to continue a list of captions with captions of the same class."""
    import torch
    import transformers
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    names = ("ankle boot", "coat", "bag")
    texts = []
    for name in names:
        for number in range(4):  # captions that are there
            for first in range(len(WORDS)):
                captions = [f"a {word} {name}" for word in (*WORDS[first:], *WORDS[:first])]
                texts.append(beginning(name, phrases={}, known=captions[:number]) + f" {captions[number]}\n")
    splitter = pre_tokenizers.Split(Regex(r"\n| ?[^\s]+"), behavior="isolated")
    pieces = sorted({piece for text in texts for piece, _ in splitter.pre_tokenize_str(text)})
    vocabulary = {piece: i for i, piece in enumerate(["<unk>", "<end>", *pieces])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = splitter
    inner.decoder = decoders.Fuse()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="<unk>",
        eos_token="<end>",
        pad_token="<end>",
        clean_up_tokenization_spaces=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                vocab_size=len(vocabulary),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=256,
                eos_token_id=1,
                pad_token_id=1,
            )
        )
        batch = tokenizer([text + "<end>" for text in texts], return_tensors="pt", padding=True)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(100):
            loss = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    folder = tmp_path_factory.mktemp("language") / "tiny-llama"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
