"""``python -m tests.mutation``: the score of the regression, and what it does not notice."""

import argparse

from tqdm import tqdm

from .score import SUBJECTS, measure, score


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--subjects", choices=SUBJECTS, default="settle",
                        help="networks by their schedule (default settle)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default 0)")
    parser.add_argument("--jobs", type=int, help="processes (default: one for each core)")
    options = parser.parse_args()
    subjects = SUBJECTS[options.subjects]
    total = sum(count for count, _ in subjects.parts.values())
    mutants = measure(subjects, seed=options.seed, jobs=options.jobs,
                      progress=lambda results: tqdm(results, total=total, unit="mutant"))
    for name, mine in [*((part, [m for m in mutants if m.part == part]) for part in subjects.parts),
                       ("all", mutants)]:
        killed = sum(mutant.verdict is not None for mutant in mine)
        harmless = sum(mutant.harmless is not None for mutant in mine)
        print(f"{name:8} {len(mine):3} mutants, {killed:3} killed, {harmless:3} proven equivalent, "
              f"score {100 * score(mine):5.1f} %")
    for mutant in mutants:
        if mutant.verdict is None:
            what = f"equivalent in {mutant.harmless}" if mutant.harmless else "survives"
            print(f"{what}: {mutant.case} {mutant.number}: {mutant.command}")


if __name__ == "__main__":
    main()
