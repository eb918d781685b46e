"""Texts whose tokens tell two tokenizers apart: words, numbers, and the letters of many scripts."""

from collections.abc import Iterator

WORDS = (
    "a red striped dress", "Navy-blue WOOL coat, size 42", "women's high-waisted jeans 98% cotton",
    "sneakers, leather & suede; €49.99 (was $89.50)", "t-shirt/top [print] #summer @sale",
    "Ein schwarzes Sommerkleid mit Blumenmuster und Spitze",
    "veste d'été à carreaux, taille élastiquée",
    "vestido de lunares sin mangas", "giacca di pelle da uomo, maniche lunghe",
    "красное платье в полоску", "κόκκινο ριγέ φόρεμα", "فستان أحمر مخطط", "लाल धारीदार पोशाक",
    "赤いストライプのドレス", "红色条纹连衣裙", "빨간 줄무늬 원피스", "👗👠 new!",
    "  two  spaces\tand\nlines  ", "",
    "handbag backpack necklace earrings sunglasses scarf hat gloves belt trousers skirt shorts "
    "blouse cardigan hoodie sweater jumpsuit swimsuit lingerie pyjamas boots sandals loafers heels "
    "denim linen silk satin velvet chiffon corduroy cashmere polyester nylon fleece tweed lace",
)  # fmt: skip
SCRIPTS = (
    (0x21, 0x7F), (0xA1, 0x180), (0x391, 0x3A2), (0x3A3, 0x3CF), (0x410, 0x450), (0x5D0, 0x5EB),
    (0x627, 0x63B), (0x905, 0x93A), (0xE01, 0xE31), (0x3041, 0x3097), (0x30A1, 0x30FB),
    (0x4E00, 0x4E80), (0xAC00, 0xAC80),
)  # fmt: skip
"""Ranges of characters that Unicode assigned long ago."""
LETTERS = 16


def sample_texts() -> Iterator[str]:
    """The words, then `LETTERS` characters at a time, together and apart."""
    yield from WORDS
    for first, end in SCRIPTS:
        for start in range(first, end, LETTERS):
            letters = [chr(code) for code in range(start, min(start + LETTERS, end))]
            yield "".join(letters)
            yield " ".join(letters)
