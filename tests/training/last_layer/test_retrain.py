import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import synaug
from synaug.config import StageOptions
from synaug.errors import DataError, OptionError
from synaug.training.inference import predict
from synaug.training.last_layer.features import LabeledFeatures, labeled_features
from synaug.training.last_layer.problem import Head
from synaug.training.last_layer.retrain import own_groups, predicted_groups, retrain_classifier
from synaug.training.last_layer.solvers import METHODS
from synaug.training.loop import train_representation
from synaug.training.networks.classifiers import make_model
from synaug.training.networks.linear_layers import last_linear
from synaug.training.training_set import make_training_set


@pytest.fixture(scope="module")
def stage_1(long_tail):
    model = make_model("resnet8", num_classes=10, in_channels=1, image_size=8)
    # domain_mixup, the default, mixes with class-balanced partners, which would leave little for retraining to improve.
    options = StageOptions(steps=150, batch_size=64, flip=False, mixing="mixup")
    train_representation(model, long_tail, options, seed=0, device="cpu")
    return model, labeled_features(model, long_tail, device="cpu")


def few_shot_recall(model, data):
    predictions = predict(model, data, device="cpu").argmax(1)
    few = data.labels >= 5
    return (predictions == data.labels)[few].float().mean().item()


@pytest.mark.parametrize("method", [name for name in METHODS if name != "tau_norm"])
def test_retraining_the_classifier_raises_few_shot_recall(stage_1, long_tail, even_digits, method):
    model, features = stage_1
    before = {name: value.clone() for name, value in model.state_dict().items()}
    new = retrain_classifier(model, features, method=method)
    assert few_shot_recall(new, even_digits) > few_shot_recall(model, even_digits) + 0.15
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert new.backbone.stem.weight.equal(model.backbone.stem.weight)


@pytest.mark.parametrize("method", ["logistic", "crt", "dfr"])
def test_retraining_repeats_with_the_seed(stage_1, long_tail, method):
    model, features = stage_1
    heads = [retrain_classifier(model, features, method=method).classifier.weight for _ in range(2)]
    assert heads[0].equal(heads[1])


# ---------------------------------------------------------------- any network, any data


class Mine(nn.Module):
    """A custom network: its classifier is not its last part, and its output is not logits."""

    def __init__(self):
        super().__init__()
        self.judge = nn.Linear(6, 3, bias=False)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU())

    def forward(self, images):
        return {"probabilities": self.judge(self.body(images)).softmax(1)}


def items_of(data, *, attributes=False):
    others = (torch.arange(len(data)) % 2,) if attributes else ()
    return TensorDataset(data.normalized(data.images), data.labels, *others)


@pytest.mark.parametrize("method", METHODS)
def test_a_network_of_torchvision_is_retrained_from_a_loader(small_set, method):
    from torchvision.models import resnet18

    # Images that show their class, since cross-fitting correctly keeps a layer that noise does not improve.
    shades = (small_set.images.float() / 8 + 100 * small_set.labels[:, None, None, None]).byte()
    small_set = replace(small_set, images=shades)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = resnet18(num_classes=3)
        network.conv1 = nn.Conv2d(1, 64, 3, bias=False)
    before = copy.deepcopy(network.state_dict())
    new = retrain_classifier(network, DataLoader(items_of(small_set), batch_size=5), method=method, device="cpu")
    changed = {name for name, value in new.state_dict().items() if not value.equal(before[name])}
    assert type(new) is type(network)
    assert "fc.weight" in changed <= {"fc.weight", "fc.bias"}
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert new(small_set.normalized(small_set.images)).isfinite().all()


def test_a_custom_network_is_retrained_by_the_name_of_its_layer(small_set):
    network = Mine().eval()
    new = retrain_classifier(network, items_of(small_set), layer="judge", regularization=100.0, device="cpu")
    assert isinstance(new, Mine)
    assert new.body[1].weight.equal(network.body[1].weight)
    images = small_set.normalized(small_set.images)
    features = network.body(images).detach()
    again = retrain_classifier(network.judge, features, labels=small_set.labels, regularization=100.0)
    assert torch.allclose(new(images)["probabilities"], again(features).softmax(1), atol=1e-5)


def test_batches_data_sets_training_sets_and_features_give_the_same_layer(small_set):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3))
    images = small_set.normalized(small_set.images)
    batches = [(images[rows], small_set.labels[rows]) for rows in torch.arange(12).split(5)]
    features = network[:3](images).detach()
    layers = [
        retrain_classifier(network, data, device="cpu")[3].weight for data in (small_set, items_of(small_set), batches)
    ]
    layers += [retrain_classifier(network, features.numpy(), labels=small_set.labels.tolist())[3].weight]
    assert all(torch.allclose(layer, layers[0], atol=1e-4) for layer in layers)


def test_attributes_of_the_batches_are_the_groups(small_set):
    found = labeled_features(
        Mine(), DataLoader(items_of(small_set, attributes=True), batch_size=5), device="cpu", layer="judge"
    )
    assert found.groups.tolist() == (2 * small_set.labels + torch.arange(12) % 2).tolist()


def test_validation_images_reach_the_method(small_set):
    seen = []

    def keep(problem, *, regularization, seed):
        seen.append(problem.validation.labels.tolist())
        return problem.start

    rows = small_set.rows(torch.tensor([0, 4]))  # of two of the three classes
    retrain_classifier(Mine(), small_set, validation=rows, method=keep, layer="judge", device="cpu")
    assert seen == [[0, 1]]


def test_features_leave_the_network_as_it_was(small_set):
    network = Mine().train()
    network.body.eval()  # like a partly frozen network
    labeled_features(network, small_set, layer="judge", device="cpu")
    assert (network.training, network.body.training) == (True, False)
    assert not network.judge._forward_pre_hooks


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([torch.zeros(2, 64)], r"Batches of \(images, labels\) or .* but got Tensor"),
        ([], r"No images were given to compute features from"),
        (torch.zeros(5, 6), r"Features need labels"),
    ],
)
def test_other_data_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        retrain_classifier(Mine(), data, layer="judge", device="cpu")


def test_features_and_labels_must_fit():
    with pytest.raises(DataError, match=r"features of shape \(5, 6\), 4 labels"):
        retrain_classifier(Mine(), torch.zeros(5, 6), labels=[0, 1, 2, 0], layer="judge")
    with pytest.raises(DataError, match=r"Labels.*0.*3,.*3 classes"):
        retrain_classifier(Mine(), torch.zeros(4, 6), labels=[0, 1, 2, 3], layer="judge")


def test_layers_are_found_or_named():
    assert last_linear(Mine())[0] == "body.1"
    with pytest.raises(OptionError, match=r"linear layer 'juge'..*'judge'"):
        last_linear(Mine(), "juge")
    with pytest.raises(OptionError, match=r"Sequential has no nn\.Linear, so its classifier cannot be retrained"):
        last_linear(nn.Sequential(nn.Conv2d(3, 4, 1)))


def test_a_layer_that_is_not_used_is_refused(small_set):
    network = Mine()
    network.spare = nn.Linear(6, 3)
    with pytest.raises(OptionError, match=r"layer 'spare'.*0.*batch,"):
        retrain_classifier(network, small_set, device="cpu")


def test_a_custom_method(small_set):
    model = make_model("resnet8", num_classes=3, in_channels=1)

    def constant(problem, *, regularization, seed):
        return Head(np.zeros_like(problem.start.weight), np.array([0.0, 1.0, 0.0]))

    assert predict(retrain_classifier(model, small_set, method=constant), small_set).argmax(1).unique() == 1


def test_a_class_without_images_is_named(small_set):
    data = small_set.rows(small_set.labels != 1)
    with pytest.raises(DataError, match=r"images.*classes 1."):
        retrain_classifier(make_model("resnet8", num_classes=3, in_channels=1), data, device="cpu")


def test_features_of_another_network_are_refused(small_set):
    with pytest.raises(DataError, match=r"features.*5 columns,.*64 inputs"):
        retrain_classifier(
            make_model("resnet8", num_classes=3, in_channels=1),
            LabeledFeatures(torch.zeros(12, 5), small_set.labels, small_set.groups),
        )


def test_predicted_groups_replace_unknown_ones_and_keep_known_ones():
    rng = np.random.default_rng(0)
    labels, attributes = rng.integers(0, 2, (2, 60))
    features = np.column_stack([labels, 4 * attributes + rng.normal(size=60) * 0.1])
    groups = torch.from_numpy(2 * labels + attributes)
    known = torch.arange(60) < 40
    data = make_training_set(
        torch.zeros(60, 1, 2, 2, dtype=torch.uint8),
        torch.from_numpy(labels),
        num_classes=2,
        is_synthetic=~known,
        groups=torch.where(known, groups, -1),
        num_groups=4,
    )
    assert predicted_groups(data, torch.from_numpy(features)).equal(groups)


def test_a_class_has_an_own_group_for_images_without_attribute(small_set):
    data = own_groups(small_set)
    assert data.groups.tolist() == [0, 0, 0, 1, 2, 4, 6, 6, 7, 7, 8, 8]
    assert data.num_groups == 9
    assert small_set.groups.min() == -1


def test_a_layer_of_cosines_is_retrained_on_features_of_length_1(small_set):
    model = make_model("resnet8", num_classes=3, in_channels=1, image_size=8, head="cosine").eval()
    seen = []

    def keep(problem, *, regularization, seed):
        seen.append(problem)
        return problem.start

    new = retrain_classifier(model, small_set, method=keep, device="cpu")
    assert new.head == "unit_linear"
    assert np.linalg.norm(seen[0].features, axis=1) == pytest.approx(np.ones(12))
    assert torch.allclose(predict(new, small_set, device="cpu"), predict(model, small_set, device="cpu"), atol=1e-4)


def test_predicted_groups_need_two_attributes(small_set):
    data = small_set.rows(small_set.groups != 1)
    with pytest.raises(DataError, match=r"Attributes cannot be predicted: fewer than two"):
        predicted_groups(data, torch.zeros(len(data), 2))


BLOBS, HALVES = torch.cat([torch.zeros(6, 2), torch.ones(6, 2)]), [0] * 6 + [1] * 6


@pytest.mark.parametrize(
    "labels", [HALVES, np.array(HALVES)[:, None], np.eye(2)[HALVES], torch.eye(2)[HALVES], np.array(HALVES, float)]
)
def test_labels_may_come_in_any_holder(labels):
    head = retrain_classifier(nn.Linear(2, 2), BLOBS, labels=labels)
    assert head(BLOBS).argmax(1).tolist() == HALVES


@pytest.mark.parametrize(
    ("features", "given"),
    [
        (BLOBS, {"labels": ["a"] * 6 + ["b"] * 6}),
        (BLOBS, {"labels": HALVES[:3]}),
        (BLOBS, {"labels": torch.rand(12, 2)}),
        (BLOBS, {"labels": None}),
        (BLOBS, {"labels": 1}),
        (BLOBS, {"labels": HALVES, "attributes": [0, 1]}),
        (BLOBS, {"labels": HALVES, "attributes": [-2] * 12}),
        (BLOBS * torch.nan, {"labels": HALVES}),
        (BLOBS[0], {"labels": HALVES}),
        (np.array([["x", "y"]] * 12), {"labels": HALVES}),
        (np.array([[None, "y"]] * 12), {"labels": HALVES}),
        (BLOBS[:, :1], {"labels": HALVES}),
        (7, {}),
        ("text", {}),
        ([1, 2], {}),
    ],
)
def test_data_that_a_layer_cannot_learn_from_are_refused(features, given):
    with pytest.raises(DataError):
        retrain_classifier(nn.Linear(2, 2), features, **given)


@pytest.mark.parametrize(
    "wrong", [{"model": "resnet"}, {"regularization": 0}, {"regularization": "1"}, {"method": 3}, {"layer": "nowhere"}]
)
def test_impossible_options_are_clear_errors(wrong):
    given = {"model": nn.Linear(2, 2), "data": BLOBS, "labels": HALVES} | wrong
    with pytest.raises(OptionError):
        retrain_classifier(given.pop("model"), given.pop("data"), **given)


@pytest.mark.parametrize("through_loader", [False, True])
def test_the_origin_of_a_sample_is_not_an_attribute(through_loader):
    real = synaug.from_arrays(
        np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1], class_names=["a", "b"],
        attributes=[0, 1, 1, -1], attribute_names=["f", "m"],
    )  # fmt: skip
    data = synaug.to_torch(replace(real, frame=real.frame.assign(source=["real", "real", "real", "synthetic"])))
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    found = labeled_features(network, DataLoader(data, batch_size=3) if through_loader else data)
    assert found.groups.tolist() == ([-1] * 4 if through_loader else [0, 3, 1, -1])
    assert found.is_synthetic.tolist() == [False, False, False, True]


# ---------------------------------------------------------------- subsets of the images


def clouds():
    """Return features of two overlapping classes, 400 images, and a network that only has a last layer."""
    rng, labels = np.random.default_rng(0), np.arange(400) % 2
    features = rng.normal(size=(400, 5)) + 0.5 * labels[:, None]
    return nn.Sequential(nn.Linear(5, 2)), features.astype(np.float32), labels


def weights(subsets):
    model, features, labels = clouds()
    return retrain_classifier(model, features, labels=labels, subsets=subsets)[0].weight.detach().numpy()


def draw(seed, size=12):
    rng = np.random.default_rng(seed)
    return np.concatenate([2 * rng.choice(200, size // 2, replace=False) + label for label in (0, 1)])


def test_a_layer_fitted_to_subsets_is_the_mean_of_the_layers_of_each():
    draws = [draw(0), draw(1), draw(2)]
    np.testing.assert_allclose(weights(draws), np.mean([weights([one]) for one in draws], axis=0), atol=1e-6)
    np.testing.assert_array_equal(weights([np.arange(400)]), weights(None))


def test_more_subsets_make_a_layer_depend_less_on_the_draw():
    def spread(number):
        return np.std(
            [weights([draw(100 * seed + each) for each in range(number)]) for seed in range(8)], axis=0
        ).mean()

    assert spread(10) < 0.6 * spread(1)


@pytest.mark.parametrize(
    ("subsets", "said"),
    [
        ([], "subsets is empty"),
        ([[0, 1], [0, 400]], r"subsets\[1\] must hold positions from 0 to 399"),
        ([[0, -1]], "must hold positions"),
        ([[0.5]], "must hold positions"),
        ([[True, False]], "must hold positions"),
        ([[0, 2]], r"subsets\[0\] lacks class 1"),
        (3, "subsets must be a list of arrays"),
        ([[[0], [1, 2]]], "subsets must be a list of arrays"),
    ],
)
def test_subsets_that_cannot_be_used_are_named(subsets, said):
    with pytest.raises(DataError, match=said):
        weights(subsets)
