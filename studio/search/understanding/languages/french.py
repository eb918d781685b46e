"""French words."""

from studio.search.understanding.languages.language import Language

GARMENTS = {
    "t-shirt": "t-shirt, t-shirts, tee-shirt, tee-shirts, tshirt",
    "shirt": "chemise, chemises",
    "blouse": "chemisier, chemisiers, blouse, blouses",
    "top": "haut, hauts",
    "tank top": "débardeur, débardeurs, marcel",
    "polo shirt": "polo, polos",
    "sweater": "pull, pulls, pull-over, chandail, chandails, tricot, tricots",
    "turtleneck": "col roulé, cols roulés, pull à col roulé",
    "cardigan": "cardigan, cardigans, gilet, gilets",
    "hoodie": "sweat à capuche, sweats à capuche, sweat-shirt à capuche",
    "sweatshirt": "sweat, sweats",
    "waistcoat": "gilet de costume",
    "dress": "robe, robes",
    "skirt": "jupe, jupes, mini-jupe, minijupe, minijupes",
    "trousers": "pantalon, pantalons",
    "jeans": "jean, jeans",
    "leggings": "legging, leggings",
    "shorts": "short, shorts, bermuda, bermudas",
    "jumpsuit": "combinaison, combinaisons, combi, salopette, salopettes",
    "suit": "costume, costumes, tailleur, tailleurs",
    "blazer": "blazer, blazers",
    "jacket": "veste, vestes, blouson, blousons, doudoune, doudounes",
    "coat": "manteau, manteaux, imperméable, imperméables, trench",
    "shoes": "chaussure, chaussures, soulier, souliers",
    "sneakers": "basket, baskets, tennis",
    "boots": "botte, bottes, bottine, bottines",
    "sandals": "sandale, sandales, tongs",
    "heels": "escarpin, escarpins, talons, chaussures à talons",
    "loafers": "mocassin, mocassins",
    "slippers": "chausson, chaussons, pantoufles",
    "bag": "sac, sacs, cabas, sacoche, sacoches",
    "handbag": "sac à main, sacs à main, pochette, pochettes",
    "backpack": "sac à dos, sacs à dos",
    "wallet": "portefeuille, portefeuilles, porte-monnaie",
    "hat": "chapeau, chapeaux, bonnet, bonnets, casquette, casquettes",
    "scarf": "écharpe, écharpes, foulard, foulards",
    "gloves": "gant, gants, moufles",
    "belt": "ceinture, ceintures",
    "tie": "cravate, cravates, nœud papillon",
    "socks": "chaussette, chaussettes",
    "tights": "collant, collants",
    "underwear": "sous-vêtements, culotte, culottes, caleçon, caleçons, slip",
    "bra": "soutien-gorge, soutiens-gorge",
    "pyjamas": "pyjama, pyjamas, chemise de nuit, chemises de nuit",
    "bathrobe": "peignoir, peignoirs, robe de chambre, robes de chambre",
    "swimwear": "maillot de bain, maillots de bain",
    "jewellery": "bijou, bijoux, collier, colliers, boucles d'oreilles, bracelet, bracelets",
    "watch": "montre, montres",
    "sunglasses": "lunettes de soleil",
    "umbrella": "parapluie, parapluies",
    "accessory": "lacets, cintre, cintres, semelles",
}
COLOURS = {
    "black": "noir, noire, noirs, noires",
    "white": "blanc, blanche, blancs, blanches",
    "off white": "blanc cassé, ivoire, écru, écrue",
    "cream": "crème",
    "grey": "gris, grise, grises, gris clair, gris foncé",
    "charcoal": "anthracite",
    "navy": "bleu marine, bleu foncé, marine, bleue marine",
    "blue": "bleu, bleue, bleus, bleues, bleu roi",
    "light blue": "bleu clair, bleu ciel",
    "turquoise": "turquoise, bleu canard",
    "green": "vert, verte, verts, vertes, vert foncé, vert clair, vert bouteille",
    "olive": "vert olive, kaki",
    "mint": "vert menthe, vert d'eau",
    "yellow": "jaune, jaunes, moutarde",
    "orange": "orange, oranges",
    "coral": "corail, saumon, abricot",
    "red": "rouge, rouges, rouge foncé",
    "burgundy": "bordeaux, lie de vin, grenat",
    "pink": "rose, roses, fuchsia, rose pâle, rose clair",
    "purple": "violet, violette, violets, violettes, pourpre",
    "lilac": "lilas, lavande, mauve, mauves",
    "brown": "marron, marrons, brun, brune, bruns, brunes, chocolat",
    "camel": "camel, cognac, fauve",
    "beige": "beige, beiges, sable, taupe",
    "gold": "doré, dorée, dorés, dorées, or",
    "silver": "argenté, argentée, argentés, argentées, argent",
    "multicoloured": "multicolore, multicolores, coloré, colorée, colorés, colorées",
}
PATTERNS = {
    "plain": "uni, unie, unis, unies, couleur unie",
    "striped": "rayé, rayée, rayés, rayées, rayure, rayures, à rayures, à rayure, marinière",
    "dotted": "à pois, pois, pointillé, pointillée, à points",
    "checked": "à carreaux, carreaux, écossais, écossaise, vichy, à carreau",
    "floral": "à fleurs, fleuri, fleurie, fleuris, fleuries, imprimé fleuri, fleurs",
    "animal print": "léopard, imprimé léopard, zébré, zébrée",
    "printed": "imprimé, imprimée, imprimés, imprimées, à motifs",
}
MATERIALS = {
    "cotton": "coton, en coton", "linen": "lin, en lin", "wool": "laine, en laine",
    "silk": "soie, en soie", "leather": "cuir, en cuir", "suede": "daim, en daim",
    "denim": "denim, en jean", "velvet": "velours, en velours", "cashmere": "cachemire",
    "lace": "dentelle, en dentelle", "satin": "satin", "viscose": "viscose",
    "faux leather": "similicuir, simili cuir", "fur": "fourrure", "faux fur": "fausse fourrure",
}  # fmt: skip
PEOPLE = {
    "women": "femme, femmes, dames", "men": "homme, hommes, messieurs",
    "kids": "enfant, enfants, bébé", "girls": "fille, filles, fillette",
    "boys": "garçon, garçons",
}  # fmt: skip

FRENCH = Language(
    code="fr",
    looks={
        "garment": GARMENTS, "colour": COLOURS, "pattern": PATTERNS, "material": MATERIALS,
        "person": PEOPLE,
    },
    grammar={
        "below": "moins de, moins que, moins cher que, jusqu'à, au plus, sous, au maximum,"
        " inférieur à, inférieure à, pas plus de, en dessous de, à moins de",
        "above": "plus de, plus que, au moins, à partir de, dès, minimum, supérieur à,"
        " au-dessus de,"
        " au dessus de, pas moins de",
        "between": "entre",
        "from": "de",
        "to": "à, et",
        "about": "environ, autour de, vers",
        "bound": "max, maximum, pour, à, prix",
        "at most": "ou moins, et moins, max, maximum, au maximum",
        "and": "et", "or": "ou, ni",
        "not": "sans, pas, pas de, pas d', non, sauf, mais pas, mais sans, mais pas de, aucun,"
        " aucune, excepté, hormis, ni, et pas, et sans, pas en, mais non",
        "only": "pas seulement, pas trop, pas très, pas que, pas si",
        "in stock": "en stock, disponible, disponibles, en magasin",
        "sold out": "épuisé, épuisée, épuisés, indisponible, en rupture de stock, pas en stock,"
        " pas disponible",
        "size": "taille, tailles, pointure, en taille",
        "cheap": "pas cher, pas chère, pas chers, pas chères, bon marché, abordable, abordables,"
        " à bas prix, petit prix, à petit prix, économique",
        "cheapest": "le moins cher, la moins chère, les moins chers, les moins chères, moins cher,"
        " moins chère, moins chers, moins chères, prix le plus bas",
        "dearest": "le plus cher, la plus chère, les plus chers, les plus chères",
        "newest": "nouveautés, les plus récents, les plus récentes, le plus récent,"
        " derniers modèles",
        "with": "avec",
        "for": "pour, assorti à, assortie à",
        "in": "en", "but": "mais",
        "article": "un, une, le, la, les, des, du, de, d, l, couleur",
        "ordinary": "haute, hautes, bas, basse, basses, long, longs, longue, longues, court,"
        " courte,"
        " courtes, manche, manches, large, larges, fin, fine, chaud, chaude, été, hiver,"
        " soirée, fête,"
        " mariage, mode, neuf, neuve, beau, belle, droit, droite, chic, ville, plage",
        "unit": "ans, an, mois, pièces, jours, heures, pouces, pour cent",
    },
    shared="top, robe, pull, tricot, tennis, marcel, costume, costumes, slip, or, rose, roses, uni,"
    " unis, combi, marine, short, basket, sable, argent, pois, montre, montres, trench, sweat,"
    " tongs,"
    " sac, sacs, gilet, gilets, blouse, blouses, ans, pas, non, a, vers, sous, chocolat, de, d, la,"
    " violet, body, lin, en, un, les, or, fauve, prix, minimum, marcel, camel, tailleur, max",
)  # fmt: skip
