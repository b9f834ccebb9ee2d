/** The line and the order that the catalogue's examples show. */
export const ITEM = {
  ProductID: 'P-1001',
  SKU: 'TEA-EARL-100',
  ProductName: 'Earl Grey 100 g',
  Quantity: 2,
  ItemPrice: 12.5,
  RowTotal: 25,
  ProductURL: 'https://boutique.example/earl-grey',
  ImageURL: 'https://boutique.example/earl-grey.jpg',
  ProductCategories: ['Thés'],
  Brand: 'Maison Thé',
};
export const ORDER = {
  OrderId: 'CMD-1001',
  Categories: ['Thés'],
  ItemNames: ['Earl Grey 100 g'],
  Brands: ['Maison Thé'],
  DiscountCode: 'BIENVENUE',
  DiscountValue: 5,
  Items: [ITEM],
};
