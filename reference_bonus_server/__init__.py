VERSION = "1.0"  # of the contract in README.md, and of this server
