// The load balancer sends /products to the API.
const list = document.getElementById("products");

function row(product) {
  const item = document.createElement("li");
  const title = document.createElement("span");
  const price = document.createElement("span");
  title.textContent = product.title;
  price.textContent = `${(product.price_cents / 100).toFixed(2)} €`;
  item.append(title, price);
  return item;
}

function notice(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

fetch("/products")
  .then((answer) => (answer.ok ? answer.json() : Promise.reject(new Error(`HTTP ${answer.status}`))))
  .then((products) => list.replaceChildren(...(products.length ? products.map(row) : [notice("Sold out.")])))
  .catch((error) => list.replaceChildren(notice(`The catalogue can't be shown just now (${error.message}).`)));
