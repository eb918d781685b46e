"""Italian words."""

from studio.search.understanding.languages.language import Language, adjectives, merge

GARMENTS = {
    "t-shirt": "maglietta, magliette, t-shirt",
    "shirt": "camicia, camicie",
    "blouse": "camicetta, camicette, blusa, bluse",
    "top": "top",
    "tank top": "canotta, canotte, canottiera, canottiere",
    "polo shirt": "polo",
    "sweater": "maglione, maglioni, maglia, maglie, pullover",
    "turtleneck": "dolcevita, maglione a collo alto, collo alto",
    "cardigan": "cardigan",
    "hoodie": "felpa con cappuccio, felpe con cappuccio",
    "sweatshirt": "felpa, felpe",
    "waistcoat": "gilet, panciotto",
    "dress": "vestito, vestiti, abito, abiti, vestitino",
    "skirt": "gonna, gonne, minigonna, minigonne",
    "trousers": "pantalone, pantaloni, calzoni",
    "jeans": "jeans",
    "leggings": "leggings",
    "shorts": "pantaloncini, pantaloni corti, bermuda, shorts",
    "jumpsuit": "tuta intera, salopette, tutina",
    "suit": "completo da uomo, tailleur, abito da uomo",
    "blazer": "blazer",
    "jacket": "giacca, giacche, giubbotto, giubbotti, giubbino, giaccone",
    "coat": "cappotto, cappotti, impermeabile, impermeabili",
    "shoes": "scarpa, scarpe, calzature",
    "sneakers": "scarpe da ginnastica, sneaker, sneakers, scarpe sportive",
    "boots": "stivale, stivali, stivaletto, stivaletti",
    "sandals": "sandalo, sandali, infradito",
    "heels": "tacchi, scarpe con tacco, scarpe con i tacchi, décolleté",
    "loafers": "mocassino, mocassini",
    "slippers": "pantofola, pantofole, ciabatte",
    "bag": "borsa, borse, sacca",
    "handbag": "borsetta, borsette, borsa a mano, pochette",
    "backpack": "zaino, zaini, zainetto",
    "wallet": "portafoglio, portafogli, portamonete",
    "hat": "cappello, cappelli, berretto, berretti, cuffia",
    "scarf": "sciarpa, sciarpe, foulard",
    "gloves": "guanto, guanti",
    "belt": "cintura, cinture",
    "tie": "cravatta, cravatte, papillon",
    "socks": "calzino, calzini, calze",
    "tights": "collant",
    "underwear": "biancheria intima, mutande, mutandine, intimo",
    "bra": "reggiseno, reggiseni",
    "pyjamas": "pigiama, pigiami, camicia da notte, camicie da notte",
    "bathrobe": "accappatoio, accappatoi, vestaglia, vestaglie",
    "swimwear": "costume da bagno, costumi da bagno",
    "jewellery": "gioielli, collana, collane, orecchini, braccialetto, braccialetti",
    "watch": "orologio, orologi",
    "sunglasses": "occhiali da sole",
    "umbrella": "ombrello, ombrelli",
    "accessory": "lacci, stringhe, gruccia, grucce, solette",
}
COLOURS = merge(
    adjectives(
        ("black", "ner"), ("yellow", "giall"), ("red", "ross"), ("gold", "dorat"),
        ("silver", "argentat"), endings="o a i e",
    ),
    {
        "white": "bianco, bianca, bianchi, bianche",
        "off white": "bianco sporco, avorio, panna",
        "cream": "crema, color crema",
        "grey": "grigio, grigia, grigi, grigie, grigio chiaro, grigio scuro",
        "charcoal": "antracite",
        "navy": "blu scuro, blu navy, blu marino",
        "blue": "blu, azzurro, azzurra, azzurri, azzurre, blu elettrico",
        "light blue": "azzurro chiaro, celeste, celesti, blu chiaro",
        "turquoise": "turchese, turchesi",
        "green": "verde, verdi, verde scuro, verde chiaro",
        "olive": "verde oliva, kaki",
        "mint": "verde menta",
        "yellow": "senape",
        "orange": "arancione, arancioni, arancio",
        "coral": "corallo, salmone",
        "burgundy": "bordeaux, bordò",
        "pink": "rosa, fucsia",
        "purple": "viola, porpora",
        "lilac": "lilla, lavanda, malva",
        "brown": "marrone, marroni",
        "camel": "cammello",
        "beige": "beige, sabbia",
        "gold": "oro",
        "silver": "argento",
        "multicoloured": "multicolore, multicolori, colorato, colorata, colorati, colorate",
    },
)  # fmt: skip
PATTERNS = {
    "plain": "tinta unita, in tinta unita, a tinta unita, monocolore",
    "striped": "a righe, righe, riga, rigato, rigata, rigati, rigate, a strisce, strisce",
    "dotted": "a pois, pois, a puntini, puntini",
    "checked": "a quadri, quadri, a quadretti, quadretti, scozzese, scozzesi",
    "floral": "a fiori, fiori, floreale, floreali, fiorato, fiorata",
    "animal print": "leopardato, leopardata, leopardati, zebrato, zebrata, maculato",
    "printed": "stampato, stampata, fantasia, stampati, stampate",
}
MATERIALS = {
    "cotton": "cotone, di cotone, in cotone", "linen": "lino, di lino, in lino",
    "wool": "lana, di lana, in lana", "silk": "seta, di seta, in seta",
    "leather": "pelle, di pelle, in pelle, cuoio", "suede": "camoscio, in camoscio",
    "denim": "denim, in denim", "velvet": "velluto, di velluto, in velluto",
    "cashmere": "cachemire", "lace": "pizzo, in pizzo", "satin": "raso",
    "faux leather": "ecopelle, finta pelle", "faux fur": "pelliccia ecologica",
}  # fmt: skip
PEOPLE = {
    "women": "donna, donne, signora", "men": "uomo, uomini", "kids": "bambini, neonato",
    "girls": "bambina, ragazza, ragazze", "boys": "bambino, ragazzo, ragazzi",
}  # fmt: skip

ITALIAN = Language(
    code="it",
    looks={
        "garment": GARMENTS, "colour": COLOURS, "pattern": PATTERNS, "material": MATERIALS,
        "person": PEOPLE,
    },
    grammar={
        "below": "meno di, sotto, sotto i, sotto ai, fino a, al massimo, massimo, entro, entro i,"
        " inferiore a, non più di, meno che",
        "above": "più di, oltre, oltre i, sopra, sopra i, almeno, a partire da, minimo,"
        " superiore a, non meno di",
        "between": "tra, fra, tra i, fra i",
        "from": "da, dai",
        "to": "a, e, ai, -, e i",
        "about": "circa, intorno a, attorno a",
        "bound": "max, per, prezzo",
        "at most": "o meno, max, massimo, al massimo",
        "and": "e, ed", "or": "o, oppure, né",
        "not": "senza, non, non a, ma non, ma senza, tranne, eccetto, nessun, nessuna, né, e non,"
        " escluso, esclusi, senza le, senza i, non in",
        "only": "non solo, non troppo, non molto, non così",
        "in stock": "in magazzino, disponibile, disponibili, in stock, pronta consegna",
        "sold out": "esaurito, esaurita, esauriti, esaurite, non disponibile, non disponibili",
        "size": "taglia, taglie, misura, numero, in taglia",
        "cheap": "economico, economica, economici, economiche, a buon mercato, a basso prezzo,"
        " a poco prezzo, conveniente, convenienti",
        "cheapest": "più economico, più economica, più economici, più economiche,"
        " meno caro, meno cara, meno cari, meno care, il più economico, la più economica",
        "dearest": "più caro, più cara, più cari, più care, il più caro, la più cara",
        "newest": "novità, più recente, più recenti, nuovi arrivi, ultimi arrivi",
        "with": "con",
        "for": "per, da abbinare a, da",
        "in": "in", "but": "ma",
        "article": "un, uno, una, il, lo, la, i, gli, le, del, della, dei, di, colore, un'",
        "ordinary": "lungo, lunga, lunghi, corto, corta, manica, maniche, estate, inverno,"
        " festa, sera,"
        " matrimonio, largo, larga, alto, alta, moda, nuovo, nuova, mare, bello, bella",
        "unit": "anni, anno, mesi, pezzi, giorni, ore, pollici, per cento",
    },
    shared="top, polo, cardigan, blazer, gilet, bermuda, salopette, tailleur, pois, oro, rosa,"
    " in, a,"
    " o, e, i, da, per, ma, un, lo, le, la, con, non, intimo, crema, panna, viola, fantasia, lino,"
    " costume, raso, max, di, del, circa, sotto, prezzo, misura, numero, entro, foulard, pochette,"
    " papillon, sacca, lilla, abito, calze, minimo, massimo, collant, bordeaux, kaki, no, ner,"
    " arancio,"
    " malva, una, completo, riga, signora, lana, tra, anno, ore",
)  # fmt: skip
