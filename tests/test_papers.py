"""Numbers that papers print and that can be checked without a download."""

import pytest

from synaug.data.groups import shot_bins
from synaug.data.subsets import longtail_counts


@pytest.mark.parametrize(("factor", "total"), [(100, 10_847), (50, 12_608), (10, 19_573)])
def test_cifar100_lt_has_the_published_totals(factor, total):
    """Cui et al. 2019; Cao et al. 2019 (LDAM-DRW)."""
    assert sum(longtail_counts(500, factor, 100)) == total


@pytest.mark.parametrize(("factor", "total"), [(100, 12_406), (50, 13_996), (10, 20_431)])
def test_cifar10_lt_has_the_published_totals(factor, total):
    assert sum(longtail_counts(5000, factor, 10)) == total


def test_cifar100_lt_has_35_many_35_medium_and_30_few_shot_classes():
    """Liu et al. 2019: many above 100 images, few below 20."""
    bins = shot_bins(longtail_counts(500, 100, 100))
    assert (bins.many.sum(), bins.medium.sum(), bins.few.sum()) == (35, 35, 30)
