import json

import numpy as np
import pytest
import timm
import torch

from synaug.config import Recipe, TrainOptions
from synaug.data.manifest import from_arrays
from synaug.errors import OptionError
from synaug.methods.datasets import input_of
from synaug.methods.networks import check_inputs
from synaug.pipeline.prepare import drafted_plan
from synaug.training.networks.classifiers import CosineLinear, check_network, make_model, network_digest
from synaug.training.networks.timm_networks import pretrained_normalization


@pytest.mark.parametrize(("name", "millions"), [("resnet20", 0.27), ("resnet32", 0.46), ("resnet56", 0.85)])
def test_parameters_are_as_many_as_he_et_al_table_6(name, millions):
    model = make_model(name, num_classes=10)
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == millions


def test_weights_follow_from_the_seed_and_leave_the_global_state_alone():
    state = torch.random.get_rng_state()
    first, again, other = (make_model("resnet8", num_classes=3, seed=seed) for seed in (1, 1, 2))
    assert torch.random.get_rng_state().equal(state)
    assert first.classifier.weight.equal(again.classifier.weight)
    assert not first.classifier.weight.equal(other.classifier.weight)


def test_logits_are_the_classifier_of_the_features():
    model = make_model("resnet8", num_classes=3, in_channels=1).eval()
    images = torch.rand(2, 1, 28, 28)
    assert model.features(images).shape == (2, 64)
    assert model(images).equal(model.classifier(model.features(images)))


@pytest.mark.parametrize("name", ["resnet10t", "test_vit", "timm/test_efficientnet", "mobilenetv3_small_050"])
def test_timm_networks_take_any_channels_and_size(name):
    model = make_model(name, num_classes=5, in_channels=1, image_size=64).eval()
    assert model(torch.rand(2, 1, 64, 64)).shape == (2, 5)


def test_a_head_of_cosines_by_hand():
    layer = CosineLinear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[5.0, 0.0], [0.0, 0.1]]))
    assert layer(torch.tensor([[30.0, 40.0]])).tolist() == [pytest.approx([18, 24])]


def test_features_of_a_head_of_cosines_have_length_1_and_give_its_logits_linearly():
    model = make_model("resnet8", num_classes=3, in_channels=1, head="cosine").eval()
    images = torch.rand(2, 1, 28, 28)
    features = model.features(images)
    assert features.norm(dim=1).tolist() == pytest.approx([1, 1])
    assert torch.allclose(model(images), features @ model.classifier.rows.T, atol=1e-5)


def test_another_head_leaves_the_backbone_as_it_was():
    plain, cosine = (make_model("resnet8", num_classes=3, head=head) for head in ("linear", "cosine"))
    assert all(a.equal(b) for a, b in zip(plain.backbone.parameters(), cosine.backbone.parameters(), strict=True))


def test_auto_is_small_for_small_images():
    assert make_model("auto", num_classes=2, image_size=32).classifier.in_features == 64


def test_no_pretrained_weights_for_tiny_networks():
    with pytest.raises(OptionError, match=r"There are no pretrained weights for resnet8; choose a timm network"):
        make_model("resnet8", num_classes=2, pretrained=True)


def test_pretrained_normalization_of_resnet50_is_imagenets():
    mean, _, side = pretrained_normalization("timm/resnet50")
    assert mean == (0.485, 0.456, 0.406)
    assert side == 224


def test_pretrained_normalization_of_gray_images_is_the_mean_over_colors():
    mean, _, _ = pretrained_normalization("resnet50", in_channels=1)
    assert mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))


# ---------------------------------------------------------------- a folder of weights


@pytest.fixture
def weights(tmp_path):
    """A folder in timm's format with weights trained on images of 48 pixels."""
    model = timm.create_model("test_efficientnet", num_classes=7)
    model.pretrained_cfg |= {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "input_size": (3, 48, 48)}
    timm.models.save_for_hf(model, tmp_path / "weights", safe_serialization=True)
    return tmp_path / "weights", model


def test_a_network_starts_from_a_folder_of_weights(weights):
    folder, model = weights
    name = f"timm/local-dir:{folder}"
    made = make_model(name, num_classes=3, image_size=48, pretrained=True)
    assert made.backbone.conv_stem.weight.equal(model.conv_stem.weight)
    assert not make_model(name, num_classes=3, image_size=48).backbone.conv_stem.weight.equal(model.conv_stem.weight)
    assert pretrained_normalization(name) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), 48)


def test_other_weights_are_another_network(weights):
    folder, _ = weights
    before = network_digest(f"timm/local-dir:{folder}")
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b" ")
    assert network_digest(f"timm/local-dir:{folder}") != before


def test_a_folder_without_weights_is_an_error_that_names_the_missing_file(weights):
    folder, _ = weights
    (folder / "model.safetensors").unlink()
    with pytest.raises(OptionError, match=r"has no model\.safetensors\."):
        check_network(f"local-dir:{folder}")
    with pytest.raises(OptionError, match=r"has no config\.json with 'architecture' and 'pretrained_cfg'"):
        check_network(f"local-dir:{folder}/absent")


def test_a_folder_of_another_architecture_than_timms_is_refused(weights):
    folder, _ = weights
    about = json.loads((folder / "config.json").read_text())
    about["model_args"] = about.get("model_args", {}) | {"drop_rate": 0.1}
    (folder / "config.json").write_text(json.dumps(about))
    with pytest.raises(OptionError, match=r"test_efficientnet.*\{'drop_rate': 0\.1\},"):
        check_network(f"local-dir:{folder}")


@pytest.mark.parametrize(
    ("architecture", "usual", "other"), [("test_efficientnet", "avg", "max"), ("test_vit", "token", "avg")]
)
def test_a_folder_whose_network_pools_otherwise_is_refused(tmp_path, architecture, usual, other):
    for pooling in (usual, other):
        model = timm.create_model(architecture, num_classes=2, global_pool=pooling)
        timm.models.save_for_hf(model, tmp_path / pooling, safe_serialization=True)
        assert json.loads((tmp_path / pooling / "config.json").read_text())["model_args"]["global_pool"] == pooling
    made = make_model(f"local-dir:{tmp_path / usual}", num_classes=3, image_size=64, pretrained=True)
    assert made.eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
    with pytest.raises(OptionError, match=rf"differs from {architecture} by \{{'global_pool': '{other}'\}}"):
        check_network(f"local-dir:{tmp_path / other}")


def test_images_are_as_the_weights_expect_them_unless_options_override_it(weights):
    name = f"timm/local-dir:{weights[0]}"
    color = from_arrays(np.zeros((2, 28, 28, 3), np.uint8), [0, 1], class_names=("a", "b"))
    plan = drafted_plan(color, Recipe())

    def images(**options):
        return input_of(name, TrainOptions(network=name, **options), plan)

    of_weights = ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    given = {"mean": (0.5,), "std": (0.25,)}
    assert images(pretrained=True) == (3, 48, of_weights)
    assert images(pretrained=True, image_size=32) == (3, 32, of_weights)
    assert images(pretrained=True, **given) == (3, 48, ((0.5,), (0.25,)))
    assert images() == (3, 28, None)
    assert images(**given) == (3, 28, ((0.5,), (0.25,)))
    with pytest.raises(OptionError, match="There are no pretrained weights for resnet32"):
        input_of("auto", TrainOptions(pretrained=True), plan)
    assert input_of("auto", TrainOptions(pretrained=True, image_size=96), plan)[1] == 96
    with pytest.raises(OptionError, match=r"train\.mean.*2.*images.*3"):
        images(mean=(0.5, 0.5), std=(1.0, 1.0))
    with pytest.raises(OptionError, match=r"timm/resnet50.*images.*224 pixels.*train\.image_size"):
        check_inputs(["timm/resnet50"], TrainOptions(network=name, pretrained=True), plan)


@pytest.mark.parametrize("given", [{"mean": (0.5,)}, {"mean": (0.5,), "std": (0.0,)}, {"mean": (0.5,), "std": (1, 1)}])
def test_mean_and_deviation_come_together(given):
    with pytest.raises(ValueError, match="mean and std must be given together, with equally many"):
        TrainOptions(**given)
