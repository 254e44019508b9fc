"""What is known of printed numbers: which are off, and why, in one line each.

The column ``known`` of ``published.csv`` names, for each printed number, the facts that hold for it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """Something known about printed numbers.

    Attributes
    ----------
    text
        One line, to stand in a table after "why they differ".
    voids
        The printed number can be compared with nothing.
    differs
        Our experiment departs from the printed one here, whatever a record's settings are.
    """

    text: str
    voids: bool = False
    differs: bool = False


FACTS: dict[str, Fact] = {
    # NewImp
    "half_columns": Fact(
        "the printed value is near half the number of columns, which is what whole rows give when their "
        "observed entries are not put back; ours are always put back",
        voids=True,
    ),
    "mean_row": Fact(
        "the printed row equals mean imputation to the second decimal, so a working implementation is better"
    ),
    "mean_level": Fact(
        "the printed MAE is at the level of mean imputation, so a working implementation is better"
    ),
    "gain_form": Fact(
        "as published, GAIN sees every observed entry that it must restore (MAE 0.41 on a mask of BCD, 0.45 "
        "on PK by preset=official); ours conceals some of them, and keeps the weights best on others"
    ),
    "miracle_form": Fact(
        "in the authors' code the rows of a batch meet the observed entries of other rows; in ours their own"
    ),
    "miwae_form": Fact(
        "how MIWAE was set is not stated (the package's, of one hidden unit, has an MAE of 0.78 on a mask of "
        "BCD and 0.76 on PK); ours keeps its scales from collapsing, and the weights best on held-out entries"
    ),
    "remasker_form": Fact(
        "as published, all columns share one embedding, scaled by their extremes (MAE 0.43 on a mask of PK "
        "by the authors' code and by preset=official); in ours each column has its own, standardised"
    ),
    "tdm_form": Fact(
        "as published, TDM may shrink volumes, which lowers its loss and not its error (MAE 0.48 on a mask "
        "of PK by the authors' code, 0.50 by preset=official); ours keeps volumes"
    ),
    "toy_unpublished": Fact(
        "the toy's size and parameters are not published; ours are our own choice", voids=True
    ),
    # DiffPuter
    "copied_row": Fact(
        "the printed rows of MIRACLE and MIWAE are identical in this table: one is a copying error",
        voids=True,
    ),
    "swapped_columns": Fact(
        "Default and Shoppers appear to have changed places in this table: a method that ran out of memory "
        "on Default elsewhere has a number there and none under Shoppers",
        voids=True,
    ),
    "permuted_columns": Fact(
        "the baselines' columns for Default, Shoppers and News appear to be in another order than the "
        "headings say",
        voids=True,
    ),
    "bogus_row": Fact(
        "the printed baselines are scored with one corrupt row of News, which dominates the RMSE where it is "
        "a test row"
    ),
    "row_left_out": Fact(
        "the authors leave one corrupt test row of News out of their own score; we score it"
    ),
    "restandardised": Fact(
        "the authors' script standardises this method's output by the filled table's own mean and deviation, "
        "ours by those of the complete training rows"
    ),
    "confused_drivers": Fact(
        "on tables with categories the authors' generator lets the wrong columns drive the holes; ours lets "
        "the right ones"
    ),
    "as_bits": Fact(
        "the authors hand this method a category as the bits of its number, and what it makes of each bit is "
        "rounded: a pattern that stands for no category counts as wrong; ours knows the categories",
        differs=True,
    ),
    "bit_means": Fact(
        "printed for rounded means of the bits of a category's number and not for its mode: "
        "benchmarks/bit_means.py finds the same to 0.2 points on four of the five tables",
        differs=True,
    ),
    "missdiff_form": Fact(
        "the paper's MissDiff is DiffPuter's network and sampler, trained once; ours is its authors' "
        "diffusion. diffputer with preset=fast, n_rounds=1 has an accuracy of 73 % on Default, 20 % on "
        "Beijing and 41 % on a part of News",
        differs=True,
    ),
    "neighbours": Fact(
        "the paper states neither the number of neighbours nor their weights: ours are 10, the nearer the "
        "more; 20 of equal weight score 72 % on Default, 57 % on Shoppers and 22 % on Beijing",
        differs=True,
    ),
    "copied_cell": Fact(
        "EM and SoftImpute have the same number here, down to the standard deviation: one is a copying error",
        voids=True,
    ),
    "average_off": Fact("the printed average is not the mean of the printed cells"),
    "dash": Fact("the paper prints a dash", voids=True),
    "out_of_memory": Fact("the paper's run did not fit into memory", voids=True),
    "zero_is_failure": Fact("the printed zero stands for a run that failed", voids=True),
    # MissDiff
    "unstated": Fact(
        "the slide states neither mechanism nor rate nor split, so this is an order of magnitude and no more",
        differs=True,
    ),
    "column_rmse": Fact(
        "printed as the mean of the columns' RMSEs in the authors' scale, ours is pooled over entries",
        differs=True,
    ),
    "odd_value": Fact("the printed value is a quarter of any other method's and of no other table's kind"),
    "odd_spread": Fact("the printed standard deviation is ten times that of the other methods"),
    "credentialed": Fact("the table needs credentials and another extraction than ours", voids=True),
}
"""Key in ``published.csv`` -> what is known."""


def facts_of(known: str) -> list[Fact]:
    """The facts that a ``known`` cell names.

    >>> [fact.voids for fact in facts_of("copied_row; restandardised")]
    [True, False]
    """
    return [FACTS[key] for key in known.split("; ") if key]
