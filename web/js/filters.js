// The filters: what they hold, and the categories and brands that were seen so far.

const field = (name) => document.getElementById(`filter-${name}`);
const fold = document.getElementById("filters-fold"); // on narrow screens they are folded away
const known = { categories: new Set(), brands: new Set() };

/** The filters in the API's shape, or undefined where none is set. */
export function readFilters() {
  const filters = {
    category: field("category").value || undefined,
    brand: field("brand").value.trim() || undefined,
    priceMin: field("min").value || undefined,
    priceMax: field("max").value || undefined,
    inStock: field("stock").checked || undefined,
  };
  const count = Object.values(filters).filter((value) => value !== undefined).length;
  const isSet = count > 0;
  fold.textContent = isSet ? `Filters (${count})` : "Filters";
  document.getElementById("filter-clear").hidden = !isSet;
  return isSet ? filters : undefined;
}

/** The filters as they stand in the page's address. */
export function filtersToAddress() {
  return {
    category: field("category").value,
    brand: field("brand").value.trim(),
    min: field("min").value,
    max: field("max").value,
    stock: field("stock").checked ? "1" : "",
  };
}

/** Sets every filter from the page's address; what is absent is cleared. */
export function setFilters({ category = "", brand = "", min = "", max = "", stock = "" } = {}) {
  learn([{ category, brand }]);
  field("category").value = category;
  field("brand").value = brand;
  field("min").value = min;
  field("max").value = max;
  field("stock").checked = stock === "1";
  readFilters();
}

/** Offers the categories and brands of products that came by. */
export function learn(products) {
  const before = known.categories.size + known.brands.size;
  for (const { category, brand } of products) {
    if (category) known.categories.add(category);
    if (brand) known.brands.add(brand);
  }
  if (known.categories.size + known.brands.size > before) offer();
}

function offer() {
  const select = field("category");
  const chosen = select.value;
  const categories = [...known.categories].sort();
  select.replaceChildren(new Option("All", ""), ...categories.map((name) => new Option(name)));
  select.value = chosen;
  fill("categories", categories);
  fill("brands", [...known.brands].sort());
}

function fill(id, names) {
  document.getElementById(id).replaceChildren(...names.map((name) => new Option("", name)));
}

/** Calls `change` when the visitor changes a filter. */
export function watchFilters(change) {
  document.getElementById("filters").addEventListener("change", change);
  fold.addEventListener("click", () => {
    fold.setAttribute("aria-expanded", fold.getAttribute("aria-expanded") === "false");
  });
  document.getElementById("filter-clear").addEventListener("click", () => {
    setFilters();
    change();
  });
}
