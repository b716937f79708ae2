"""Tails and quantiles of the distributions that tests and error bars are made of.

By `scipy.special`: the import of `scipy.stats` takes as long as all else that a short job imports.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special


def chi2_tail(chi2: ArrayLike, degrees_of_freedom: ArrayLike) -> Any:
    """Return the probability of a chi-square at least this large.

    Parameters
    ----------
    chi2, degrees_of_freedom : array_like
        Broadcast against each other.

    Returns
    -------
    numpy.ndarray or float
        Q(k/2, x/2), the regularised incomplete gamma function.
    """
    return special.gammaincc(np.asarray(degrees_of_freedom) / 2, np.asarray(chi2) / 2)


def chi2_quantile(probability: ArrayLike, degrees_of_freedom: ArrayLike) -> Any:
    """Return the chi-square that is not exceeded with this probability.

    Parameters
    ----------
    probability, degrees_of_freedom : array_like
        Broadcast against each other.

    Returns
    -------
    numpy.ndarray or float
        Inverse of `1 - chi2_tail`.
    """
    return 2 * special.gammaincinv(np.asarray(degrees_of_freedom) / 2, probability)


def student_quantile(probability: ArrayLike, degrees_of_freedom: ArrayLike) -> Any:
    """Return the Student's t that is not exceeded with this probability.

    Parameters
    ----------
    probability, degrees_of_freedom : array_like
        Broadcast against each other.

    Returns
    -------
    numpy.ndarray or float
        In units of the standard error.
    """
    return special.stdtrit(degrees_of_freedom, probability)


def normal_quantile(probability: ArrayLike) -> Any:
    """Return the standard normal deviate that is not exceeded with this probability.

    Parameters
    ----------
    probability : array_like
        Between 0 and 1.

    Returns
    -------
    numpy.ndarray or float
        In standard deviations.
    """
    return special.ndtri(probability)
