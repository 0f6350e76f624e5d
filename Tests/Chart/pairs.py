"""A small set of combinations in which every two choices meet once (greedy, the same in every run)."""
import itertools
import random


def all_pairs(switches, refused=lambda row: None, seed=1):
    """Rows {switch: choice} that hold every pair of choices which some allowed row can hold. `refused` says why a row, which may
    be incomplete, cannot be."""
    dice = random.Random(seed)
    names = list(switches)
    wanted = {
        frozenset([(a, x), (b, y)])
        for a, b in itertools.combinations(names, 2)
        for x in switches[a]
        for y in switches[b]
        if not refused({a: x, b: y})
    }
    rows = []
    while wanted:
        pair = min(wanted, key=lambda p: sorted(map(str, p)))
        best, most = None, set()
        for _ in range(30):
            row = _complete(dict(pair), switches, names, wanted, refused, dice)
            if row is None:
                continue
            found = {p for p in wanted if p <= set(row.items())}
            if len(found) > len(most):
                best, most = row, found
        if best is None:
            raise ValueError(f"no allowed row holds {sorted(pair)}")
        rows.append({name: best[name] for name in names})
        wanted -= most
    return rows


def _complete(row, switches, names, wanted, refused, dice):
    rest = [n for n in names if n not in row]
    dice.shuffle(rest)
    for name in rest:
        choices = [c for c in switches[name] if not refused({**row, name: c})]
        if not choices:
            return None
        gain = {c: sum(frozenset([(name, c), other]) in wanted for other in row.items()) for c in choices}
        most = max(gain.values())
        row[name] = dice.choice([c for c in choices if gain[c] == most])
    return row
