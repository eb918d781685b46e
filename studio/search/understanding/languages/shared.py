"""Words and signs that all five languages have."""

CURRENCIES = {
    "EUR": "euro, euros, eur",
    "USD": "usd, dollar, dollars, bucks, dollari, dólares, dólar",
    "GBP": "gbp, pound, pounds, pfund, livres sterling, libras, sterline, quid",
    "CHF": "chf, franken, francs, franchi, francos, sfr, fr",
    "JPY": "jpy, yen", "PLN": "pln, zloty, zł", "SEK": "sek", "NOK": "nok", "DKK": "dkk",
    "CZK": "czk", "CAD": "cad", "AUD": "aud", "INR": "inr, rupees",
}  # fmt: skip
"""ISO code -> signs and words. `kr` is left out: three countries share it."""
CURRENCY_SIGNS = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY", "₹": "INR"}
LETTER_SIZES = "xxs, xs, xl, xxl, xxxl, 2xl, 3xl, 4xl, 5xl"
"""Sizes that need no word `size` beside them."""
COLOUR_NAMES = "colour, color, farbe, couleur, colore, colours, colors, farben"
PATTERN_NAMES = "pattern, muster, motif, estampado, fantasia, print"
MATERIAL_NAMES = "material, materials, fabric, stoff, matiere, tessuto, tejido, materiale"
SIZE_NAMES = "size, sizes, groesse, grosse, taille, talla, taglia, pointure, shoe size"
"""Names of catalogue attributes in the languages, folded."""
KIND_OF = {
    "jeans": "trousers", "leggings": "trousers", "sneakers": "shoes", "boots": "shoes",
    "sandals": "shoes", "heels": "shoes", "loafers": "shoes", "slippers": "shoes",
    "handbag": "bag", "backpack": "bag", "blazer": "jacket", "jacket": "outerwear",
    "coat": "outerwear", "turtleneck": "sweater", "cardigan": "sweater", "hoodie": "sweatshirt",
    "polo shirt": "top", "t-shirt": "top", "shirt": "top", "tank top": "top", "blouse": "top",
    "tights": "underwear", "bra": "underwear",
}  # fmt: skip
"""Garment -> the wider kind that it belongs to."""
SHADE_OF = {
    "light blue": "blue", "lilac": "purple", "olive": "green", "mint": "green",
    "burgundy": "red", "charcoal": "grey",
}  # fmt: skip
"""Colour -> the colour that a catalogue without this one files it under."""
