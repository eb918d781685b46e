"""The lexical leg of an index: the words of products, matched and scored over the index's rows."""
