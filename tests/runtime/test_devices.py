import numpy as np
import pytest
import torch
from threadpoolctl import ThreadpoolController

from synaug.errors import EnvironmentFault, OptionError
from synaug.runtime.devices import MANY_MULTIPLICATIONS, chosen_device, chosen_precision, threads_for
from synaug.training.last_layer import retrain_classifier


def test_precision_is_chosen_by_the_device_and_never_half_on_a_cpu():
    assert chosen_precision("auto", torch.device("cpu")) == torch.float32
    assert chosen_precision("auto", torch.device("cuda")) == torch.bfloat16


def test_half_precision_on_a_cpu_is_refused():
    with pytest.raises(OptionError, match=r"precision bfloat16.*slower.*float32.*CPU"):
        chosen_precision("bfloat16", torch.device("cpu"))


def test_a_missing_device_is_a_fault_of_the_environment_and_lists_the_available_ones():
    with pytest.raises(EnvironmentFault, match=r"'cuda:77' is not available. Available: cpu"):
        chosen_device("cuda:77")


def test_a_name_that_is_not_a_device_is_an_option_error():
    with pytest.raises(OptionError, match=r"device is 'gpu'; allowed: auto, cpu, cuda"):
        chosen_device("gpu")


def test_generation_and_training_may_prefer_different_formats_on_a_gpu():
    assert chosen_precision("auto", torch.device("cuda"), on_gpu="float16") == torch.float16
    assert chosen_precision("auto", torch.device("cpu"), on_gpu="float16") == torch.float32


def threads() -> set[int]:
    return {each["num_threads"] for each in ThreadpoolController().select(internal_api="openblas").info()}


def limited_to(number: int):
    return ThreadpoolController().select(internal_api="openblas").limit(limits=number)


def test_small_products_have_one_thread_and_large_ones_keep_theirs():
    with limited_to(2):
        with threads_for(MANY_MULTIPLICATIONS - 1):
            assert threads() == {1}
        with threads_for(MANY_MULTIPLICATIONS):
            assert threads() == {2}
        assert threads() == {2}


def test_a_small_last_layer_is_fitted_with_one_thread():
    seen = []

    def method(problem, *, regularization, seed):
        seen.append(threads())
        return problem.start

    with limited_to(2):
        retrain_classifier(torch.nn.Linear(3, 2), np.eye(3, dtype=np.float32), labels=[0, 1, 0], method=method)
    assert seen == [{1}]
