import type { EventType } from './event-type';
import { ITEM, ORDER } from './example-order';

const PRODUCT_PROPERTIES = [
  'ProductName',
  'ProductID',
  'SKU',
  'Categories',
  'ImageURL',
  'URL',
  'Brand',
  'Price',
  'CompareAtPrice',
];
const ADA = { email: 'ada@example.com' };

/** What people look at, and what else they do with a shop. */
export const VISIT_TYPES: readonly EventType[] = [
  {
    key: 'active_on_site',
    name: 'Active on Site',
    category: 'browsing',
    description: {
      fr: 'Une personne connue visite la boutique.',
      en: 'A known person visits the shop.',
    },
    recommendedProperties: ['URL', 'Referrer', 'Browser', 'Device'],
    example: { eventType: 'active_on_site', eventData: { URL: 'https://boutique.example/' }, profile: ADA },
  },
  {
    key: 'viewed_page',
    name: 'Viewed Page',
    category: 'browsing',
    description: {
      fr: 'Une page (catégorie, article, recherche) a été consultée.',
      en: 'A page (category, article, search) was viewed.',
    },
    recommendedProperties: ['PageName', 'URL', 'Category', 'SearchTerm'],
    example: {
      eventType: 'viewed_page',
      eventData: { PageName: 'Thés noirs', URL: 'https://boutique.example/thes-noirs', Category: 'Thés' },
      profile: ADA,
    },
  },
  {
    key: 'viewed_product',
    name: 'Viewed Product',
    category: 'browsing',
    description: {
      fr: 'Une fiche produit a été consultée ; déclenche les relances de navigation.',
      en: 'A product page was viewed; starts browse abandonment flows.',
    },
    recommendedProperties: PRODUCT_PROPERTIES,
    example: {
      eventType: 'viewed_product',
      eventData: {
        ProductName: ITEM.ProductName,
        ProductID: ITEM.ProductID,
        SKU: ITEM.SKU,
        Categories: ['Thés'],
        ImageURL: ITEM.ImageURL,
        URL: ITEM.ProductURL,
        Brand: ITEM.Brand,
        Price: 12.5,
        CompareAtPrice: 15,
      },
      profile: ADA,
    },
  },
  {
    key: 'left_review',
    name: 'Left Review',
    category: 'engagement',
    description: {
      fr: 'Un avis a été laissé sur un produit ou sur la boutique.',
      en: 'A review of a product or of the shop was left.',
    },
    recommendedProperties: ['ProductID', 'ProductName', 'Rating', 'Title', 'URL'],
    example: {
      eventType: 'left_review',
      eventData: { ProductID: ITEM.ProductID, ProductName: ITEM.ProductName, Rating: 5, Title: 'Parfait' },
      profile: ADA,
    },
  },
  {
    key: 'joined_loyalty_program',
    name: 'Joined Loyalty Program',
    category: 'engagement',
    description: {
      fr: 'Une personne a rejoint le programme de fidélité.',
      en: 'A person joined the loyalty programme.',
    },
    recommendedProperties: ['ProgramName', 'Tier', 'Points'],
    example: {
      eventType: 'joined_loyalty_program',
      eventData: { ProgramName: 'Club Thé', Tier: 'Bronze', Points: 100 },
      profile: ADA,
    },
  },
  {
    key: 'contacted_support',
    name: 'Contacted Support',
    category: 'engagement',
    description: { fr: 'Une personne a contacté l’assistance.', en: 'A person contacted support.' },
    recommendedProperties: ['Channel', 'Subject', 'OrderId', 'Status'],
    example: {
      eventType: 'contacted_support',
      eventData: { Channel: 'chat', Subject: 'Livraison', OrderId: ORDER.OrderId, Status: 'open' },
      profile: ADA,
    },
  },
  {
    key: 'created_account',
    name: 'Created Account',
    category: 'engagement',
    description: { fr: 'Un compte client a été créé.', en: 'A customer account was created.' },
    recommendedProperties: ['Method', 'Source'],
    example: { eventType: 'created_account', eventData: { Method: 'email', Source: 'checkout' }, profile: ADA },
  },
];
