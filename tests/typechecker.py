"""What checks the annotated shapes, dtypes and types while the tests run."""

from beartype import BeartypeConf, beartype

# A whole number is a float too, as it is to static checkers (PEP 484).
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
