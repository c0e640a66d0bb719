from hypothesis import given
from hypothesis import strategies as st

from synaug.config import StageOptions
from synaug.training.networks.classifiers import make_model
from synaug.training.optimization import learning_rate_share, make_optimizer


@given(st.integers(1, 500), st.floats(0, 0.99))
def test_the_learning_rate_rises_then_falls_and_stays_above_0(steps, warmup):
    shares = [learning_rate_share(step, steps, warmup=warmup) for step in range(steps)]
    top = shares.index(max(shares))
    assert shares[: top + 1] == sorted(shares[: top + 1])
    assert shares[top:] == sorted(shares[top:], reverse=True)
    assert all(0 < share <= 1 for share in shares)


def test_biases_and_norms_have_no_weight_decay():
    model = make_model("resnet8", num_classes=3)
    decayed, free = make_optimizer(model, StageOptions(weight_decay=0.01)).param_groups
    assert {p.ndim for p in decayed["params"]} == {2, 4}
    assert {p.ndim for p in free["params"]} == {1}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.01, 0.0)
