"""Spanish words."""

from studio.search.understanding.languages.language import Language, adjectives, merge

GARMENTS = {
    "t-shirt": "camiseta, camisetas, playera, playeras, remera, remeras",
    "shirt": "camisa, camisas",
    "blouse": "blusa, blusas",
    "top": "top, tops",
    "tank top": "camiseta de tirantes, camisetas de tirantes",
    "polo shirt": "polo, polos",
    "sweater": "jersey, jerséis, suéter, suéteres",
    "turtleneck": "cuello alto, jersey de cuello alto",
    "cardigan": "rebeca, rebecas, cárdigan",
    "hoodie": "sudadera con capucha, sudaderas con capucha",
    "sweatshirt": "sudadera, sudaderas",
    "waistcoat": "chaleco, chalecos",
    "dress": "vestido, vestidos",
    "skirt": "falda, faldas, minifalda, minifaldas",
    "trousers": "pantalón, pantalones",
    "jeans": "vaqueros, vaquero, tejanos, jeans",
    "leggings": "mallas, leggings",
    "shorts": "pantalón corto, pantalones cortos, bermudas",
    "jumpsuit": "mono, monos, peto, petos, enterizo",
    "suit": "traje, trajes",
    "blazer": "americana, americanas",
    "jacket": "chaqueta, chaquetas, cazadora, cazadoras, chamarra, chamarras",
    "coat": "abrigo, abrigos, gabardina, gabardinas",
    "shoes": "zapato, zapatos, calzado",
    "sneakers": "zapatilla, zapatillas, zapatillas deportivas, deportivas, tenis",
    "boots": "bota, botas, botín, botines",
    "sandals": "sandalia, sandalias, chanclas",
    "heels": "tacones, zapatos de tacón",
    "loafers": "mocasín, mocasines",
    "slippers": "zapatillas de casa, pantuflas",
    "bag": "bolsa, bolsas, bolso, bolsos",
    "handbag": "bolso de mano, bolsos de mano, cartera de mano",
    "backpack": "mochila, mochilas",
    "wallet": "cartera, carteras, monedero, monederos",
    "hat": "sombrero, sombreros, gorro, gorros, gorra, gorras",
    "scarf": "bufanda, bufandas, pañuelo, pañuelos",
    "gloves": "guante, guantes",
    "belt": "cinturón, cinturones",
    "tie": "corbata, corbatas, pajarita, pajaritas",
    "socks": "calcetín, calcetines",
    "tights": "pantis, medias",
    "underwear": "ropa interior, bragas, calzoncillos",
    "bra": "sujetador, sujetadores",
    "pyjamas": "pijama, pijamas, camisón, camisones",
    "bathrobe": "albornoz, albornoces, bata, batas",
    "swimwear": "bañador, bañadores, traje de baño, trajes de baño",
    "jewellery": "joyas, collar, collares, pendientes, pulsera, pulseras",
    "watch": "reloj, relojes",
    "sunglasses": "gafas de sol",
    "umbrella": "paraguas",
    "accessory": "cordones, percha, perchas, plantillas",
}
FORMS = adjectives(
    ("black", "negr"), ("white", "blanc"), ("yellow", "amarill"), ("red", "roj"),
    ("purple", "morad purpúre"), ("gold", "dorad"), ("silver", "platead"),
    endings="o a os as",
)  # fmt: skip
COLOURS = merge(
    FORMS,
    {
        "black": "negro", "off white": "blanco roto, marfil, crudo, cruda",
        "cream": "crema, color crema",
        "grey": "gris, grises, gris claro, gris oscuro",
        "charcoal": "antracita",
        "navy": "azul marino, azul oscuro, azules marino",
        "blue": "azul, azules, azul rey",
        "light blue": "azul claro, celeste, celestes, azul cielo",
        "turquoise": "turquesa, turquesas",
        "green": "verde, verdes, verde oscuro, verde claro",
        "olive": "verde oliva, caqui",
        "mint": "verde menta",
        "yellow": "mostaza",
        "orange": "naranja, naranjas, anaranjado, anaranjada",
        "coral": "coral, salmón",
        "burgundy": "burdeos, granate, vino tinto",
        "pink": "rosa, rosas, fucsia, rosado, rosada, rosados, rosadas",
        "purple": "violeta, violetas",
        "lilac": "lila, lilas, lavanda, malva",
        "brown": "marrón, marrones, café",
        "camel": "camel",
        "beige": "beige, beis, arena",
        "gold": "oro",
        "silver": "plata",
        "multicoloured": "multicolor, multicolores, colorido, colorida",
    },
)  # fmt: skip
PATTERNS = {
    "plain": "liso, lisa, lisos, lisas, de un solo color",
    "striped": "a rayas, de rayas, rayas, rayado, rayada, rayados, rayadas, raya",
    "dotted": "de lunares, a lunares, lunares, lunar, de puntos, puntos",
    "checked": "a cuadros, de cuadros, cuadros, escocés, escocesa",
    "floral": "de flores, flores, floreado, floreada, floreados, floreadas",
    "animal print": "de leopardo, leopardo, cebra",
    "printed": "estampado, estampada, estampados, estampadas",
}
MATERIALS = {
    "cotton": "algodón, de algodón", "linen": "lino, de lino", "wool": "lana, de lana",
    "silk": "seda, de seda", "leather": "cuero, de cuero, de piel", "suede": "ante, de ante",
    "denim": "denim", "velvet": "terciopelo", "cashmere": "cachemira", "lace": "encaje",
    "satin": "satén", "corduroy": "pana", "viscose": "viscosa", "faux leather": "polipiel",
}  # fmt: skip
PEOPLE = {
    "women": "mujer, mujeres, dama", "men": "hombre, hombres, caballero",
    "kids": "niños, bebé", "girls": "niña, niñas", "boys": "niño",
}  # fmt: skip

SPANISH = Language(
    code="es",
    looks={
        "garment": GARMENTS, "colour": COLOURS, "pattern": PATTERNS, "material": MATERIALS,
        "person": PEOPLE,
    },
    grammar={
        "below": "menos de, menos que, hasta, por debajo de, como máximo, máximo, a lo sumo,"
        " bajo, por menos de, no más de, más barato que",
        "above": "más de, más que, desde, a partir de, al menos, como mínimo, mínimo,"
        " por encima de, no menos de",
        "between": "entre",
        "from": "de, desde",
        "to": "a, y, hasta",
        "about": "alrededor de, unos, unas, cerca de, aproximadamente",
        "bound": "max, por, precio",
        "at most": "o menos, max, máximo, como máximo",
        "and": "y, e", "or": "o, u, ni",
        "not": "sin, no, no de, pero no, pero sin, excepto, salvo, ningún, ninguna, ninguno, ni,"
        " y no, que no sea, que no sean, menos, no en",
        "only": "no solo, no sólo, no muy, no tan, no demasiado",
        "in stock": "en stock, disponible, disponibles, en existencia, en existencias",
        "sold out": "agotado, agotada, agotados, agotadas, sin stock, no disponible",
        "size": "talla, tallas, número, en talla",
        "cheap": "barato, barata, baratos, baratas, económico, económica, económicos, económicas,"
        " a buen precio, asequible, asequibles, precio bajo",
        "cheapest": "el más barato, la más barata, los más baratos, las más baratas, más barato,"
        " más barata, más baratos, más baratas",
        "dearest": "el más caro, la más cara, los más caros, las más caras, más caro, más cara,"
        " más caros, más caras",
        "newest": "novedades, lo más nuevo, los más nuevos, las más nuevas, más reciente,"
        " más recientes",
        "with": "con",
        "for": "para, a juego con",
        "in": "en", "but": "pero",
        "article": "un, una, unos, unas, el, la, los, las, de, del, color",
        "ordinary": "largo, larga, largos, largas, corto, corta, manga, mangas, verano, invierno,"
        " fiesta, boda, noche, ancho, ancha, alto, alta, altos, moda, nuevo, nueva, playa",
        "unit": "años, año, meses, piezas, días, horas, pulgadas, por ciento",
    },
    shared="top, tops, mono, monos, bata, batas, ante, oro, no, a, o, y, e, u, arena, jersey,"
    " rosa, rosas, coral, bolsa, bolsas, malva, lila, pana, collar, plata, polo, polos, bajo,"
    " en, de,"
    " el, la, con, un, una, por, non, americana, vino, tenis, lima, menos, medias, lino, bota,"
    " seda,"
    " entre, lana, max, dama, cruda, precio, disponible, disponibles, cerca, crema",
)  # fmt: skip
