import pytest
import torch

from synaug.errors import OptionError
from synaug.runtime.devices import chosen_device, chosen_precision


def test_precision_is_chosen_by_the_device_and_never_half_on_a_cpu():
    assert chosen_precision("auto", torch.device("cpu")) == torch.float32
    assert chosen_precision("auto", torch.device("cuda")) == torch.bfloat16


def test_half_precision_on_a_cpu_is_refused():
    with pytest.raises(OptionError, match=r"precision bfloat16 is slower than float32 on a CPU"):
        chosen_precision("bfloat16", torch.device("cpu"))


def test_unknown_precision_names_the_nearest():
    with pytest.raises(OptionError, match=r"Unknown precision 'bfloat'. Did you mean 'bfloat16'"):
        chosen_precision("bfloat", torch.device("cpu"))


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(OptionError, match=r"The device 'cuda:77' cannot be used"):
        chosen_device("cuda:77")
