"""What a foreign picture may ask of its decoder, checked on its bytes before it is decoded."""
