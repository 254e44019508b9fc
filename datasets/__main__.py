"""``python -m datasets [tables | shares [NAME ...]]``: Markdown tables of what there is."""

import sys

from datasets import mimic, names
from datasets.overview import describe_datasets, markdown, realised_shares


def main(arguments: list[str]) -> int:
    """Print the asked-for table; 2 for a request that is not understood."""
    match arguments:
        case [] | ["tables"]:
            print(markdown(describe_datasets()))
        case ["shares", *chosen]:
            shares = realised_shares(chosen or [name for name in names() if name != mimic.NAME])
            wide = shares.pivot(index=["dataset", "mechanism"], columns="ratio", values="realised")
            print(markdown(wide.round(3).reset_index()))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
