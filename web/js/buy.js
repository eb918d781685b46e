// Buying one product: to PayPal to approve it, and back here for the receipt.

import { requireAccount } from "./account.js";
import { call } from "./api.js";
import { line, showProblem } from "./notice.js";
import { formatPrice } from "./results.js";

const receipt = document.getElementById("receipt");
const notice = document.getElementById("notice");

/** Orders the product and leaves for the page where its payer approves. */
export async function buy(product) {
  if (!(await requireAccount("Sign in to buy."))) return;
  const here = location.href.split("#")[0];
  const items = [{ productId: product.id, quantity: 1 }];
  const body = { items, description: product.title.slice(0, 127), returnUrl: here, cancelUrl: here };
  const order = await call("POST", "api/paypal/orders", { body });
  location.assign(order.approvalUrl);
}

/** What a payer who comes back brings along, taken out of the page's address. */
function takeOrder() {
  const address = new URL(location.href);
  const order = { id: address.searchParams.get("token"), payer: address.searchParams.get("PayerID") };
  if (!order.id) return null;
  for (const name of ["token", "PayerID"]) address.searchParams.delete(name);
  history.replaceState(history.state, "", address);
  return order;
}

async function finish({ id, payer }) {
  if (!payer) return show("Nothing was paid", "You have left PayPal without approving the order.");
  if (!(await requireAccount("Sign in again to finish your order."))) return;
  const paid = await call("POST", `api/paypal/orders/${encodeURIComponent(id)}/capture`);
  const { value: price, currency } = paid.amount;
  const sum = formatPrice({ price, currency });
  if (paid.status === "PENDING") show("Your payment is being checked", `${sum}, order ${paid.orderId}`);
  else show(`Thank you: ${sum} paid`, `Order ${paid.orderId}, receipt ${paid.captureId}`);
}

function show(title, text) {
  receipt.replaceChildren(line("strong", title), line("p", text));
  receipt.hidden = false;
}

/** Finishes the order that a payer comes back with; first of all, because it tidies the address. */
export function startPurchase() {
  const order = takeOrder();
  if (order) finish(order).catch((error) => showProblem(notice, error));
}
