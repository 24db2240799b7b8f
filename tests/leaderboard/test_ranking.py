"""The ranking: numbers worked by hand, and the same data through other people's implementations."""

from io import StringIO

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from rnnbench.config.cards import TaskCard
from rnnbench.leaderboard.pairs import PowerEstimate, compare_all, power_estimate, separated
from rnnbench.leaderboard.ranking import (
    critical_difference,
    friedman,
    rank,
    ranks_of,
    seed_means,
    shared_block,
    win_shares,
)
from rnnbench.leaderboard.render import Terminal, markdown
from rnnbench.leaderboard.scores import Array, Resamples, Scores, scores_of
from rnnbench.leaderboard.statistics import holm, same_as_best, seeds_to_separate
from rnnbench.leaderboard.table import Column, make_table
from tests.fixtures.cells import cells
from tests.fixtures.records import done, spec

X = np.nan
HAND = np.array([[[0.9, 0.7], [0.5, 0.3]], [[0.8, 0.8], [0.2, 0.3]], [[0.1, 0.3], [0.6, 0.6]]])
"""Three configurations on two tasks with two seeds: means 0.8 0.4, 0.8 0.25, 0.2 0.6."""


def scores(values: Array) -> Scores:
    count, tasks, seeds = values.shape
    columns = tuple(Column.of(spec(task=name)) for name in ("adding", "parity", "mnist1d", "copy-memory")[:tasks])
    return Scores(tuple("abcdefgh"[:count]), columns, tuple(range(seeds)), values, (), ())


def made_up(configurations: int, tasks: int, seeds: int, seed: int = 0, spread: float = 0.1) -> Array:
    random = np.random.default_rng(seed)
    return np.asarray(
        random.normal(0.5, spread, (configurations, tasks, 1)) + random.normal(0, 0.05, (configurations, tasks, seeds))
    )


def everywhere(values: Array) -> Resamples:
    return Resamples.draw(np.ones(values.shape[1:], bool))


def test_scores_are_zero_at_chance_and_one_at_the_ceiling_or_at_the_best_mean() -> None:
    records = [done(spec(name, "adding", seed), score) for name, seed, score in
               (("lstm", 0, 1 / 6), ("lstm", 1, 1 / 12), ("gru", 0, 0.0))]  # fmt: skip
    chance = TaskCard.load("weather-nyc").chance.value
    records += [done(spec(name, "weather-nyc"), score) for name, score in (("lstm", chance), ("gru", chance / 2))]
    found = scores_of(make_table(cells(*records)))
    assert found.configurations == ("gru", "lstm")
    assert [column.task for column in found.columns] == ["adding", "weather-nyc"]
    assert found.values == pytest.approx(np.array([[[1, X], [1, X]], [[0, 0.5], [0, X]]]), abs=1e-6, nan_ok=True)
    assert "the ceiling on its card" in found.scales[0].one_is
    assert "the best mean here" in found.scales[1].one_is
    assert [scale.is_ceiling for scale in found.scales] == [True, False]


def test_a_task_without_ceiling_where_nobody_is_better_than_chance_is_left_out_and_said() -> None:
    chance = TaskCard.load("weather-nyc").chance.value
    found = scores_of(make_table(cells(done(spec("gru", "weather-nyc"), chance), done(spec("gru", "adding"), 0.1))))
    assert [column.task for column in found.columns] == ["adding"]
    assert found.left_out == (("weather-nyc", "it has no ceiling, and nobody is better than chance"),)


def test_a_task_whose_chance_is_not_below_its_ceiling_has_no_scale_and_says_so() -> None:
    found = scores_of(make_table(cells(done(spec(task="parity"), 0.9, baseline_scores={"accuracy": 1.0}))))
    assert found.left_out == (("parity", "its chance, 1.000, is not below the ceiling on its card"),)


def test_of_two_budgets_of_a_task_that_with_more_runs_counts() -> None:
    records = [*(done(spec(seed=seed), 0.1) for seed in (0, 1)), done(spec(steps=9), 0.05)]
    found = scores_of(make_table(cells(*records)))
    assert [column.budget.steps for column in found.columns] == [3]
    assert found.left_out == (("adding", "9 steps: fewer runs than its other column counts"),)


def test_mean_normalised_score_rank_and_win_rate_by_hand() -> None:
    ranking = rank(scores(HAND))
    assert ranking is not None
    assert [place.label for place in ranking.places] == ["a", "b", "c"]
    assert [place.score.value for place in ranking.places] == pytest.approx([0.6, 0.525, 0.4])
    # ranks by mean: task 1: 1.5 1.5 3; task 2: 2 3 1
    assert [place.rank.value for place in ranking.places] == pytest.approx([1.75, 2.25, 2.0])
    # of four cells, a beats b at two and ties at one, and beats c at two; b beats c at two
    assert [place.win_rate.value for place in ranking.places] == pytest.approx([4.5 / 8, 3.5 / 8, 4 / 8])
    assert (ranking.tasks, ranking.cells, ranking.missing, ranking.left) == (2, 4, 0, [])


def test_a_run_below_chance_counts_as_chance() -> None:
    ranking = rank(scores(np.array([[[-5.0], [0.8]], [[0.2], [0.3]]])))
    assert ranking is not None
    assert {place.label: place.score.value for place in ranking.places} == pytest.approx({"a": 0.4, "b": 0.25})


def test_means_and_chance_of_improvement_are_those_of_rliable() -> None:
    from rliable import metrics

    values = made_up(3, 6, 4)
    found = seed_means(values, np.ones(values.shape[1:], bool)).mean(1)
    assert found == pytest.approx([metrics.aggregate_mean(one.T) for one in values])
    single = made_up(3, 9, 1)  # with one seed a task, its pairs of runs are ours
    better = compare_all(single).better
    assert better[0, 1] == pytest.approx(metrics.probability_of_improvement(single[0].T, single[1].T))
    assert better[1, 2] == pytest.approx(metrics.probability_of_improvement(single[1].T, single[2].T))


def test_ranks_friedman_and_critical_difference_are_those_of_the_peers() -> None:
    from autorank import autorank

    means = seed_means(made_up(5, 12, 3, spread=0.01), np.ones((12, 3), bool))
    result = autorank(pd.DataFrame(means.T), force_mode="nonparametric")
    assert ranks_of(means).mean(1) == pytest.approx(result.rankdf.meanrank.sort_index())
    assert friedman(means) == pytest.approx(result.pvalue)
    assert critical_difference(5, 12) == pytest.approx(result.cd, rel=1e-3)


def test_ties_share_a_rank_and_equal_means_have_no_test() -> None:
    assert ranks_of(np.array([[2.0], [3.0], [2.0]]))[:, 0].tolist() == [2.5, 1, 2.5]
    assert friedman(np.ones((4, 5))) is None


def test_the_critical_difference_is_that_of_demsars_example() -> None:
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)  # Demšar 2006, section 3.2.4


def test_nemenyis_test_by_the_critical_difference_is_that_of_scikit_posthocs() -> None:
    from scikit_posthocs import posthoc_nemenyi_friedman

    means = seed_means(made_up(5, 30, 2), np.ones((30, 2), bool)) + np.array([0, 0, 0.05, 0.1, 0.2])[:, None]
    average = ranks_of(means).mean(1)
    ours = np.abs(average[:, None] - average) > critical_difference(5, 30)
    theirs = posthoc_nemenyi_friedman(means.T).to_numpy() < 0.05
    assert (ours == theirs).all()
    assert ours.any()


def test_the_shared_block_leaves_out_who_stands_in_the_way() -> None:
    there = np.array([[[1, 1], [1, 1]], [[1, 1], [1, 0]], [[0, 0], [0, 1]]], bool)
    who, shared = shared_block(there)
    assert who == [0, 1]
    assert (shared == [[True, True], [True, False]]).all()


def test_an_incomplete_grid_is_compared_where_it_is_shared_and_the_rest_is_told() -> None:
    holes = HAND.copy()
    holes[1, 0, 0] = X
    holes[2, :, :] = [[X, X], [X, 0.6]]
    ranking = rank(scores(holes))
    assert ranking is not None
    assert ranking.left == ["c"]
    assert {place.label: place.score.value for place in ranking.places} == pytest.approx({"a": 0.55, "b": 0.525})
    assert ranking.missing == pytest.approx(1 - 6 / 12)
    pairs = compare_all(holes)
    assert (pairs.cells[0, 1], pairs.tasks[0, 1], pairs.cells[0, 2]) == (3, 2, 1)
    assert pairs.better[0, 1] == pytest.approx((0 + 3 / 4) / 2)  # task 1: one seed, lost; task 2: won and tied
    assert pairs.better[2, 0] == 1.0


def test_configurations_without_a_shared_cell_have_no_ranking_and_no_probability() -> None:
    apart = np.array([[[0.1, X]], [[X, 0.2]]])
    assert rank(scores(apart)) is None
    assert np.isnan(compare_all(apart).better).all()


def test_probabilities_of_both_ways_add_up_to_one() -> None:
    pairs = compare_all(made_up(4, 5, 3))
    above = ~np.eye(4, dtype=bool)
    for one, other in ((pairs.better, pairs.better), (pairs.low, pairs.high)):
        assert (one + other.T)[above] == pytest.approx(np.ones(12))


def test_who_has_won_each_of_three_tasks_is_not_sure_of_the_fourth() -> None:
    three = compare_all(made_up(2, 3, 2, spread=0.01) + np.array([1, 0])[:, None, None])
    assert three.better[0, 1] == 1
    assert three.low[0, 1] == pytest.approx(0.025 ** (1 / 3))  # the exact interval of three of three
    six = compare_all(made_up(2, 6, 2, spread=0.01) + np.array([1, 0])[:, None, None])
    assert six.low[0, 1] == pytest.approx(stats.binomtest(6, 6).proportion_ci().low)
    assert six.low[0, 1] > 0.5


def test_two_tasks_of_one_seed_are_drawn_as_enumeration_says() -> None:
    draws = Resamples.draw(np.ones((2, 1), bool), count=20_000)
    means = draws.means(np.array([[[0.0], [1.0]]])).mean(1)[:, 0]
    values, counts = np.unique(means, return_counts=True)
    assert values.tolist() == [0.0, 0.5, 1.0]
    assert counts / 20_000 == pytest.approx([0.25, 0.5, 0.25], abs=0.01)


def test_seeds_are_drawn_within_each_drawn_task() -> None:
    values = np.array([[[0.0, 1.0], [10.0, X]]])
    draws = Resamples.draw(~np.isnan(values[0]), count=20_000)
    means = draws.means(np.nan_to_num(values)).mean(1)[:, 0]
    # each of two draws: half 10, else 0 ¼, ½ ½, 1 ¼ of the first task
    values_, counts = np.unique(means, return_counts=True)
    first = {0.0: 1 / 8, 0.5: 1 / 4, 1.0: 1 / 8, 10.0: 1 / 2}
    wanted: dict[float, float] = {}
    for one, p in first.items():
        for other, q in first.items():
            wanted[(one + other) / 2] = wanted.get((one + other) / 2, 0) + p * q
    assert values_.tolist() == sorted(wanted)
    assert counts / 20_000 == pytest.approx([wanted[value] for value in sorted(wanted)], abs=0.01)
    assert sum(one.sum(0) for one in draws.weights()) == pytest.approx(np.full(20_000, 2.0))


def test_all_configurations_share_a_draw() -> None:
    values = made_up(1, 5, 3)
    both = np.concatenate([values, values + 0.25])
    resampled = everywhere(both).means(both).mean(1)
    assert resampled[:, 1] - resampled[:, 0] == pytest.approx(np.full(len(resampled), 0.25))


def test_with_many_tasks_of_one_seed_the_interval_is_scipys() -> None:
    values = made_up(1, 200, 1)
    draws = everywhere(values)
    ours = draws.percentiles(draws.means(values).mean(1))[:, 0]
    theirs = stats.bootstrap((values[0, :, 0],), np.mean, method="percentile", n_resamples=4000, rng=1)
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert ours == pytest.approx([theirs.confidence_interval.low, theirs.confidence_interval.high], abs=0.1 * width)


def test_an_interval_of_few_tasks_is_expanded_by_hand() -> None:
    draws = Resamples.draw(np.ones((6, 1), bool))
    assert draws.widen(1.959964) == pytest.approx(np.sqrt(6 / 5) * 2.570582, rel=1e-5)
    assert Resamples.draw(np.ones((1, 4), bool)).units == 4
    alone = Resamples.draw(np.ones((1, 1), bool))
    assert np.isnan(alone.interval(np.zeros(1), np.zeros((2000, 1)), (0, 1))).all()


def test_an_interval_is_that_of_t_where_percentiles_end_at_the_extreme_tasks() -> None:
    values = np.array([[[0.4], [0.5], [0.6]]])
    draws = Resamples.draw(np.ones((3, 1), bool), count=50_000)
    replicates = draws.means(values).mean(1)
    width = np.sqrt(3 / 2) * 4.302653 * replicates.std()
    assert draws.percentiles(replicates)[:, 0] == pytest.approx([0.4, 0.6])
    assert draws.interval(np.array([0.5]), replicates, (0, 1))[:, 0] == pytest.approx([0.5 - width, 0.5 + width])
    assert draws.interval(np.array([0.5]), replicates, (0.3, 0.65))[:, 0] == pytest.approx([0.3, 0.65])


@pytest.mark.parametrize("tasks", [3, 4, 12])
def test_intervals_cover_the_truth_as_often_as_they_say(tasks: int) -> None:
    draws = Resamples.draw(np.ones((tasks, 3), bool), count=1000)
    covered = 0
    for seed in range(300):
        values = made_up(1, tasks, 3, seed)
        low, high = draws.interval(values.mean((1, 2)), draws.means(values).mean(1), (-1, 2))[:, 0]
        covered += bool(low <= 0.5 <= high)
    assert 0.9 <= covered / 300 <= 0.99


def test_equals_are_told_apart_in_about_one_table_of_twenty() -> None:
    wrong = 0
    for seed in range(200):
        values = made_up(6, 10, 2, seed)
        draws = Resamples.draw(np.ones((10, 2), bool), count=500)
        wrong += bool(separated(values.mean((1, 2)), draws.means(values).mean(1), draws).any())
    assert wrong / 200 <= 0.09


def test_what_differs_on_every_task_is_told_apart_and_the_rest_is_tied() -> None:
    values = made_up(3, 12, 2, spread=0.02) + np.array([0.2, 0.2, 0])[:, None, None]
    ranking = rank(scores_with_many_tasks(values))
    assert ranking is not None
    assert [place.ties for place in ranking.places] == [(1, 2), (1, 2), (3, 3)]
    assert [place.power is None for place in ranking.places] == [False, True, True]
    assert [(place.position.low, place.position.high) for place in ranking.places] == [(1, 2), (1, 2), (3, 3)]


@pytest.mark.parametrize(("tasks", "told"), [(2, False), (5, False), (6, True)])
def test_a_difference_that_is_the_same_everywhere_is_judged_by_the_sign_test(tasks: int, told: bool) -> None:
    ranking = rank(scores_with_many_tasks(np.stack([np.ones((tasks, 2)), np.zeros((tasks, 2))])))
    assert ranking is not None
    assert [place.may_be_best for place in ranking.places] == [True, not told]


def scores_with_many_tasks(values: Array) -> Scores:
    return Scores(tuple("abc"), scores(HAND).columns[:1] * values.shape[1], (0, 1), values, (), ())


def test_one_task_with_one_seed_says_nothing() -> None:
    ranking = rank(scores(np.array([[[0.5]], [[0.1]]])))
    assert ranking is not None
    assert [place.ties for place in ranking.places] == [(1, 2), (1, 2)]
    assert ranking.places[0].score.low is None


def test_the_order_of_configurations_changes_nothing() -> None:
    values = made_up(4, 3, 2)
    one, other = scores(values), scores(values)
    turned = Scores(one.configurations[::-1], other.columns, other.seeds, values[::-1], (), ())
    assert [place.label for place in rank(one).places] == [place.label for place in rank(turned).places]  # type: ignore[union-attr]


def test_how_many_more_seeds_by_hand() -> None:
    present = np.ones((1, 2), bool)
    # differences 0.1 and 0.3: mean 0.2, variance 0.02; six have t(5) = 2.571 and (2.571 + 0.842) √(0.02 / 6) = 0.197,
    # five t(4) = 2.776 and 0.229; two are there
    assert power_estimate(np.array([[0.1, 0.3]]), np.zeros((1, 2)), present) == PowerEstimate(4, None)
    # two tasks that disagree: means 0.5 and -0.3, no spread over seeds; between 0.32, (0.1/2.811)² = 0.001266
    b = np.array([[0.5, 0.5], [-0.3, -0.3]])
    assert power_estimate(b, np.zeros((2, 2)), np.ones((2, 2), bool)) == PowerEstimate(None, 251)
    assert power_estimate(np.zeros((1, 2)), np.zeros((1, 2)), present) == PowerEstimate(None, None)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_difference_that_is_the_same_everywhere_needs_six_units(count: int) -> None:
    seeds, tasks = np.ones((1, count)), np.ones((count, 1))
    assert power_estimate(seeds, 0 * seeds, seeds > 0) == PowerEstimate(6 - count, None)
    assert power_estimate(tasks, 0 * tasks, tasks > 0) == PowerEstimate(None, 6 - count)


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_with_as_many_more_seeds_as_are_said_to_be_needed_most_pairs_are_told_apart(tasks: int) -> None:
    lead, spread, random = 0.05, 0.06, np.random.default_rng(tasks)
    seen = lead + spread * np.tile([-1.0, 0.0, 1.0], (tasks, 1))
    lacking = power_estimate(seen, 0 * seen, np.ones(seen.shape, bool)).seeds
    assert lacking is not None
    told = 0
    for _ in range(50):
        values = np.zeros((2, tasks, 3 + lacking))
        values[0] = random.normal(lead, spread, values.shape[1:])
        draws = Resamples.draw(np.ones(values.shape[1:], bool), 400)
        told += bool(separated(values.mean((1, 2)), draws.means(values).mean(1), draws)[0, 1])
    assert 30 <= told <= 48


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        (PowerEstimate(1, None), "about 1 more seed of each task would separate them"),
        (PowerEstimate(None, 2), "seeds alone would not separate them; about 2 more tasks would"),
        (PowerEstimate(5000, None), "too alike to be separated"),
        (PowerEstimate(None, None), "too alike to be separated"),
        (
            power_estimate(np.ones((1, 1)), np.zeros((1, 1)), np.ones((1, 1), bool)),
            "one task and seed say nothing of the spread",
        ),
    ],
)
def test_what_is_needed_in_words(lacking: PowerEstimate, said: str) -> None:
    assert lacking.text() == said


@pytest.mark.parametrize("effect", [0.1, 0.3, 1.0, 3.0])
def test_how_many_seeds_of_a_task_is_what_statsmodels_says(effect: float) -> None:
    from statsmodels.stats.power import TTestIndPower

    root = 2**0.5  # the standard deviation of -1 and 1
    found = seeds_to_separate([-1, 1], [effect * root - 1, effect * root + 1])
    assert found == np.ceil(TTestIndPower().solve_power(effect, power=0.8, alpha=0.05))


def test_equal_means_or_one_seed_have_no_number_of_seeds() -> None:
    assert seeds_to_separate([1, 2], [1, 2]) is None
    assert seeds_to_separate([1], [1, 2]) is None
    assert seeds_to_separate([1, 1], [2, 2]) == 2


def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    values = [0.01, 0.04, 0.03, 0.005, 0.9]
    assert holm(values) == pytest.approx(multipletests(values, method="holm")[1])
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_the_same_as_the_best_are_those_that_the_adjusted_test_does_not_tell_from_it() -> None:
    clear = {"a": [9.0, 9.1, 9.2], "b": [9.1, 9.0, 8.9], "c": [1.0, 1.1, 1.2]}
    assert same_as_best(clear) == {"a", "b"}
    assert same_as_best({"a": [9.0], "b": [1.0, 1.1]}) == set()
    assert same_as_best({"a": [9.0, 9.1]}) == set()


def test_win_shares_by_hand() -> None:
    assert win_shares(np.array([[[1.0]], [[2.0]], [[2.0]]]))[:, 0, 0] == pytest.approx([0, 0.75, 0.75])


def test_the_ranking_stands_in_the_terminal_and_in_markdown() -> None:
    ranking = rank(scores(HAND))
    assert ranking is not None
    table = make_table(cells(done()))
    console = Console(file=StringIO(), width=80)
    console.print(Terminal(table, ranking))
    for text in (console.file.getvalue(), markdown(table, ranking)):  # type: ignore[attr-defined]
        for word in (" 0.6", " 1.8", "0.56", "4 pairs of task and seed", "p = ", "more task"):
            assert word in text
    assert "Ranking" not in markdown(table)
