"""One trial, the loop, budgets, resume and answers: the only composer of the stages."""
