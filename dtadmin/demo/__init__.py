"""`make demo`: the whole product on one machine, with believable data (see `__main__`)."""
