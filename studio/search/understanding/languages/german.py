"""German words, with their endings and the garments that end compounds."""

from studio.search.understanding.languages.language import Language, adjectives, merge

GARMENTS = {
    "t-shirt": "t-shirt, t-shirts, tshirt, tshirts, kurzarmshirt, kurzarmshirts",
    "shirt": "hemd, hemden, oberhemd, oberhemden",
    "blouse": "bluse, blusen",
    "top": "oberteil, oberteile, langarmshirt, langarmshirts",
    "tank top": "unterhemd, unterhemden, tanktop, tanktops, trägertop, trägertops",
    "polo shirt": "poloshirt, poloshirts, polohemd, polohemden",
    "sweater": "pullover, pulli, pullis, strickpullover",
    "turtleneck": "rollkragenpullover, rolli, rollis",
    "cardigan": "strickjacke, strickjacken",
    "hoodie": "kapuzenpullover, kapuzenpulli, kapuzenpullis",
    "waistcoat": "weste, westen",
    "dress": "kleid, kleider, abendkleid, abendkleider, sommerkleid, sommerkleider",
    "skirt": "rock, röcke, minirock, miniröcke, bleistiftrock",
    "trousers": "hose, hosen, stoffhose, stoffhosen, jogginghose, jogginghosen, chinohose",
    "jeans": "jeanshose, jeanshosen",
    "shorts": "kurze hose, kurze hosen, kurzen hosen, bermudas",
    "jumpsuit": "overall, overalls, einteiler, latzhose, latzhosen",
    "suit": "anzug, anzüge, hosenanzug, hosenanzüge",
    "blazer": "sakko, sakkos",
    "jacket": "jacke, jacken, lederjacke, lederjacken, jeansjacke, jeansjacken",
    "coat": "mantel, mäntel, trenchcoat, regenmantel, regenmäntel, wintermantel",
    "shoes": "schuh, schuhe, schuhen, halbschuhe",
    "sneakers": "turnschuh, turnschuhe, sportschuhe, laufschuhe",
    "boots": "stiefel, stiefeln, stiefelette, stiefeletten",
    "sandals": "sandale, sandalen",
    "heels": "absatzschuhe, stöckelschuhe",
    "slippers": "hausschuh, hausschuhe, pantoffel, pantoffeln",
    "bag": "tasche, taschen, beutel, umhängetasche, umhängetaschen, einkaufstasche",
    "handbag": "handtasche, handtaschen",
    "backpack": "rucksack, rucksäcke",
    "wallet": "geldbeutel, geldbörse, geldbörsen, portemonnaie, brieftasche, brieftaschen",
    "hat": "hut, hüte, mütze, mützen, kappe, kappen, strickmütze",
    "scarf": "schal, schals, halstuch, halstücher",
    "gloves": "handschuh, handschuhe, handschuhen",
    "belt": "gürtel, gürteln",
    "tie": "krawatte, krawatten, fliege, schlips",
    "socks": "socke, socken, strümpfe",
    "tights": "strumpfhose, strumpfhosen",
    "underwear": "unterwäsche, unterhose, unterhosen, schlüpfer",
    "pyjamas": "schlafanzug, schlafanzüge, nachthemd, nachthemden",
    "bathrobe": "bademantel, bademäntel, morgenmantel",
    "swimwear": "badeanzug, badeanzüge, badehose, badehosen, bademode",
    "jewellery": "schmuck, halskette, halsketten, ohrringe, armband, armbänder",
    "watch": "uhr, uhren, armbanduhr, armbanduhren",
    "sunglasses": "sonnenbrille, sonnenbrillen",
    "umbrella": "regenschirm, regenschirme",
    "accessory": "schnürsenkel, kleiderbügel, schuhcreme, einlegesohlen, kleiderschrank",
}
ENDINGS = "e er es en em"
COLOURS = merge(
    adjectives(
        ("black", "schwarz tiefschwarz"),
        ("white", "weiß weiss schneeweiß"),
        ("off white", "elfenbeinfarben wollweiß"),
        ("cream", "cremefarben cremeweiß"),
        ("grey", "grau hellgrau dunkelgrau"),
        ("charcoal", "anthrazitfarben"),
        ("navy", "dunkelblau marineblau"),
        ("blue", "blau königsblau"),
        ("light blue", "hellblau himmelblau"),
        ("turquoise", "türkis türkisfarben petrol"),
        ("green", "grün dunkelgrün hellgrün"),
        ("olive", "olivgrün khakifarben"),
        ("mint", "mintgrün"),
        ("yellow", "gelb senfgelb"),
        ("orange", "orangefarben orangen"),
        ("coral", "korallenfarben lachsfarben"),
        ("red", "rot dunkelrot hellrot knallrot"),
        ("burgundy", "weinrot bordeauxrot"),
        ("pink", "rosafarben pinkfarben"),
        ("purple", "violett lilafarben"),
        ("brown", "braun dunkelbraun hellbraun"),
        ("camel", "cognacfarben kamelfarben"),
        ("beige", "beige sandfarben"),
        ("gold", "golden goldfarben"),
        ("silver", "silbern silberfarben"),
        ("multicoloured", "bunt mehrfarbig farbenfroh"),
        endings=ENDINGS,
    ),
    {
        "orange": "orange", "pink": "rosa, pink", "purple": "lila", "turquoise": "türkis",
        "burgundy": "bordeaux", "cream": "creme", "charcoal": "anthrazit", "silver": "silber",
        "navy": "marine", "olive": "oliv, khaki", "camel": "cognac",
    },
)  # fmt: skip
PATTERNS = merge(
    adjectives(
        ("plain", "einfarbig unifarben ungemustert"),
        ("striped", "gestreift geringelt"),
        ("dotted", "gepunktet getupft"),
        ("checked", "kariert"),
        ("floral", "geblümt"),
        ("printed", "gemustert bedruckt"),
        endings=ENDINGS,
    ),
    {
        "plain": "uni", "striped": "streifen, streifenmuster, nadelstreifen, ringel",
        "dotted": "punkte, punkten, tupfen, punktemuster", "checked": "karo, karos, karomuster",
        "floral": "blumen, blumenmuster, blumenprint", "animal print": "leopardenmuster, leo",
    },
)  # fmt: skip
MATERIALS = {
    "cotton": "baumwolle, baumwoll", "linen": "leinen", "wool": "wolle, woll", "silk": "seide",
    "leather": "leder", "suede": "wildleder", "denim": "jeansstoff", "velvet": "samt",
    "cashmere": "kaschmir", "lace": "spitze", "corduroy": "cord", "polyester": "polyester",
    "faux leather": "kunstleder", "fur": "pelz", "faux fur": "kunstpelz", "viscose": "viskose",
}  # fmt: skip
PEOPLE = {
    "women": "damen, frauen, frau", "men": "herren, männer, mann", "kids": "kinder, kind, babys",
    "girls": "mädchen", "boys": "jungen, jungs",
}  # fmt: skip

GERMAN = Language(
    code="de",
    looks={
        "garment": GARMENTS, "colour": COLOURS, "pattern": PATTERNS, "material": MATERIALS,
        "person": PEOPLE,
    },
    grammar={
        "below": "unter, bis, bis zu, weniger als, höchstens, maximal, billiger als,"
        " günstiger als, nicht mehr als, nicht über, nicht teurer als, unterhalb von",
        "above": "über, ab, mehr als, mindestens, teurer als, nicht unter, nicht weniger als",
        "between": "zwischen",
        "from": "von",
        "to": "bis, und",
        "about": "um, etwa, ungefähr, circa, ca, rund",
        "bound": "max, für, preis",
        "at most": "oder weniger, und weniger, oder günstiger, maximal, max, höchstens",
        "and": "und", "or": "oder, noch",
        "not": "nicht, ohne, kein, keine, keinen, keiner, keinem, keines, außer, aber nicht,"
        " aber ohne, aber kein, aber keine, aber keinen, und nicht, ausgenommen, nicht in,"
        " nicht von",
        "only": "nicht nur, nicht zu, nicht sehr, nicht so, keine ahnung",
        "in stock": "auf lager, lieferbar, sofort lieferbar, verfügbar, sofort verfügbar,"
        " vorrätig",
        "sold out": "ausverkauft, nicht lieferbar, nicht verfügbar, nicht auf lager",
        "size": "größe, groesse, größen, gr, in größe, in groesse, in gr",
        "cheap": "günstig, günstige, günstiger, günstiges, günstigen, billig, billige, billiger,"
        " billiges, billigen, preiswert, preiswerte, preiswerter, preiswertes, preiswerten",
        "cheapest": "am günstigsten, günstigste, günstigster, günstigstes, günstigsten,"
        " billigste, billigster, billigstes, billigsten, am billigsten",
        "dearest": "am teuersten, teuerste, teuerster, teuerstes, teuersten",
        "newest": "neueste, neuester, neuestes, neuesten, neuheiten, neu eingetroffen",
        "with": "mit",
        "for": "für, passend zu, zum, zur",
        "in": "in, aus", "but": "aber",
        "article": "von, vom, ein, eine, einen, einem, einer, der, die, das, den, dem, des, farbe",
        "ordinary": "lang, lange, langer, langes, kurz, kurze, kurzer, kurzes, weit, weite,"
        " eng, enge,"
        " langarm, kurzarm, ärmel, sommer, winter, abend, hochzeit, leicht, leichte, warm,"
        " warme, neu,"
        " dünn, runde, runder, mode, teuer, schön, schöne, feste, festlich, kragen, bunte",
        "unit": "jahre, jahren, jährige, stück, stunden, tage, monate, zoll, grad, prozent",
    },
    shared="rock, hut, hose, fliege, overall, overalls, spitze, cord, marine, uhr, uni, leo,"
    " schal, weste, westen, jungs, kind, um, die, an, gr, rund, mann, frau",
    compounds={
        "kleid": "dress", "kleider": "dress", "jacke": "jacket", "jacken": "jacket",
        "hose": "trousers", "hosen": "trousers", "hemd": "shirt", "hemden": "shirt",
        "schuh": "shoes", "schuhe": "shoes", "tasche": "bag", "taschen": "bag",
        "mantel": "coat", "mäntel": "coat", "bluse": "blouse", "blusen": "blouse",
        "pullover": "sweater", "mütze": "hat", "mützen": "hat", "stiefel": "boots",
        "sandalen": "sandals", "gürtel": "belt", "rucksack": "backpack", "socken": "socks",
        "röcke": "skirt",
    },
)  # fmt: skip
