"""What each number and sign on the board means, in a sentence or two each."""

DEFINITIONS = {
    "score": "Test score of the checkpoint with the best validation score: mean ± 95 % interval (Student's "
    "t) over n seeds.",
    "best": "Bold: the best of its task alone: Welch's t test, adjusted by Holm, tells it from each other "
    "one (p < 0.05).",
    "tied": "=: the same as the best, as far as these seeds tell (the same test, p ≥ 0.05). Nothing is "
    "marked where the best has one seed.",
    "chance": "≈ chance: the mean is not better than the simplest reference by the margin on the task's card.",
    "uncertified": "°: made by another version of the code. A probe (the first three training steps, repeated) tells "
    "whether this version still gives the same; nobody has taken it yet. If it does not, the run is stale.",
    "normalised": "0 is chance, 1 is the ceiling on the card or, where a card has none, the best mean on this "
    "board; a run below chance counts as chance. Seeds are averaged within a task, then tasks.",
    "rank": "Ranked by mean on each task (1 is best, ties share a rank), then averaged over tasks.",
    "win_rate": "At the same task and seed, the share of the other contenders that are beaten; a tie is half.",
    "interval": "2,000 draws of tasks, and of seeds within each (paired hierarchical bootstrap: all contenders "
    "share a draw), expanded for few tasks (Hesterberg 2015, section 4.3).",
    "position": "By mean normalised score; in brackets, the places it may have: behind all that are told to be "
    "better, before all that are told to be worse (simultaneous confidence sets for ranks, Mogstad "
    "et al. 2024).",
    "ties": "Neighbouring places that cannot be told apart when all pairs are judged at once (single-step "
    "max-T on the draws, 5 % for the whole table; Romano & Wolf 2005).",
    "need": "How many more seeds or tasks would tell two neighbours apart in 80 % of cases, if their "
    "difference and the spread over seeds and tasks are what they seem; they "
    "are judged as two alone.",
    "shared": "Only tasks and seeds that all ranked contenders have are compared.",
    "better": "At a task and then a seed drawn at random among those that both have, the probability that the"
    " row is better than the column; a tie is half. The interval is that of the bootstrap, or the "
    "exact binomial one for as many tasks where that is wider (Clopper & Pearson 1934). The "
    "difference is real where it leaves out 50 %.",
    "critical_difference": "Average ranks on a line; a bar joins those that Nemenyi's test cannot tell apart (Demšar "
    "2006). It sees ranks alone, not by how much and not each seed, and so tells fewer apart than the table.",
}
