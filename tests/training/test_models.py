import pytest
import torch

from synaug.errors import OptionError
from synaug.training.models import CosineLinear, make_model, pretrained_normalisation


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


def test_misspelt_head_names_the_nearest():
    with pytest.raises(OptionError, match=r"Unknown head 'cosin'. Did you mean 'cosine'"):
        make_model("resnet8", num_classes=2, head="cosin")


def test_auto_is_small_for_small_images():
    assert make_model("auto", num_classes=2, image_size=32).classifier.in_features == 64


def test_misspelt_network_names_the_nearest():
    with pytest.raises(OptionError, match=r"Unknown network 'resnet23'. Did you mean 'resnet"):
        make_model("resnet23", num_classes=2)


def test_no_pretrained_weights_for_tiny_networks():
    with pytest.raises(OptionError, match=r"There are no pretrained weights for resnet8; choose a timm network"):
        make_model("resnet8", num_classes=2, pretrained=True)


def test_pretrained_normalisation_of_resnet50_is_imagenets():
    mean, _, side = pretrained_normalisation("timm/resnet50")
    assert mean == (0.485, 0.456, 0.406)
    assert side == 224


def test_pretrained_normalisation_of_grey_images_is_the_mean_over_colours():
    mean, _, _ = pretrained_normalisation("resnet50", in_channels=1)
    assert mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
