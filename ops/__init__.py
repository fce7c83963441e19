"""Operations: the command line, the local stack, topics."""
