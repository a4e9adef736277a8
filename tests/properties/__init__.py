"""Properties over random m, n, d and K, all of them served by a few compiled programs."""
