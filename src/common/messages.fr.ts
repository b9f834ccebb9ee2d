import type { Catalogue } from './messages';

/** Textes français de chaque code et de chaque défaut de champ. `{name}` vient des paramètres de l'erreur. */
export const fr: Catalogue = {
  codes: {
    VALIDATION_FAILED: {
      title: 'Requête invalide',
      detail:
        'Des valeurs manquent ou sont incorrectes. Corrigez les champs listés dans « errors » puis renvoyez la requête.',
    },
    USER_ID_REQUIRED: {
      title: 'Utilisateur manquant',
      detail: "Indiquez pour qui vous appelez : « userId » dans le corps ou la requête, ou l'en-tête X-User-Id.",
    },
    MALFORMED_JSON: {
      title: 'JSON mal formé',
      detail: "Le corps n'est pas du JSON valide. Vérifiez-le puis renvoyez-le.",
    },
    KLAVIYO_REJECTED: {
      title: 'Refusé par Klaviyo',
      detail: 'Klaviyo a refusé la demande. Corrigez ce que « errors » indique puis recommencez.',
    },
    UNAUTHENTICATED: {
      title: 'Non authentifié',
      detail: "Envoyez une clé de service ou un jeton utilisateur valide dans l'en-tête « Authorization: Bearer … ».",
    },
    KLAVIYO_KEY_INVALID: {
      title: 'Clé Klaviyo refusée',
      detail: "Klaviyo n'accepte plus cette clé privée. Créez-en une nouvelle dans Klaviyo et reconnectez le compte.",
    },
    WEBHOOK_SIGNATURE_INVALID: {
      title: 'Signature refusée',
      detail: 'La signature de cette livraison ne correspond pas. Vérifiez le webhook et son secret.',
    },
    WEBHOOK_TIMESTAMP_OUT_OF_RANGE: {
      title: 'Livraison hors délai',
      detail: "L'heure signée de cette livraison est hors de la plage acceptée. Envoyez une livraison récente.",
    },
    USER_SCOPE_MISMATCH: {
      title: 'Autre utilisateur',
      detail:
        "L'utilisateur indiqué n'est pas celui de l'appelant, ou plusieurs utilisateurs différents sont indiqués. N'en donnez qu'un.",
    },
    KLAVIYO_SCOPE_MISSING: {
      title: 'Autorisation Klaviyo manquante',
      detail:
        "La clé Klaviyo n'a pas l'autorisation nécessaire : {scopes}. Créez une clé qui l'a et reconnectez le compte.",
    },
    KLAVIYO_PLAN_REQUIRED: {
      title: 'Offre Klaviyo requise',
      detail:
        "Les webhooks Klaviyo demandent l'option Advanced KDP. Utilisez delivery « poll » ou changez d'offre Klaviyo.",
    },
    ORIGIN_NOT_ALLOWED: {
      title: 'Origine non autorisée',
      detail: "Cette origine ne peut pas appeler le service. Demandez à l'exploitant de l'ajouter à ALLOWED_ORIGINS.",
    },
    HTTPS_REQUIRED: { title: 'HTTPS requis', detail: 'Appelez cette adresse en https.' },
    CONNECTION_NOT_FOUND: {
      title: 'Connexion introuvable',
      detail: "Cet utilisateur n'a pas cette connexion Klaviyo. Connectez d'abord un compte avec POST /connect.",
    },
    PROFILE_NOT_FOUND: {
      title: 'Profil introuvable',
      detail: "Klaviyo ne connaît pas ce profil. Vérifiez l'identifiant.",
    },
    LIST_NOT_FOUND: {
      title: 'Liste introuvable',
      detail: "Cette liste n'existe pas dans ce compte Klaviyo : {id}. Voir GET /get-lists.",
    },
    SEGMENT_NOT_FOUND: {
      title: 'Segment introuvable',
      detail: "Ce segment n'existe pas dans ce compte Klaviyo : {id}. Voir GET /get-segments.",
    },
    CAMPAIGN_NOT_FOUND: {
      title: 'Campagne introuvable',
      detail: "Cette campagne n'existe pas dans ce compte Klaviyo : {id}. Voir GET /get-campaigns.",
    },
    SYNC_NOT_FOUND: {
      title: 'Synchronisation introuvable',
      detail: "Cet utilisateur n'a pas cette synchronisation. Voir GET /sync.",
    },
    WEBHOOK_NOT_FOUND: {
      title: 'Webhook introuvable',
      detail: "Cet utilisateur n'a pas ce webhook. Voir GET /webhooks.",
    },
    EVENT_NOT_FOUND: {
      title: 'Événement introuvable',
      detail: "Cet utilisateur n'a pas cet événement. Voir GET /events.",
    },
    IMPORT_NOT_FOUND: {
      title: 'Import introuvable',
      detail: "Cet utilisateur n'a pas cet import. Vérifiez son identifiant.",
    },
    ROUTE_NOT_FOUND: {
      title: 'Adresse introuvable',
      detail: 'Rien ne répond à cette méthode à cette adresse. Voir /openapi.json pour celles qui existent.',
    },
    CONFLICT: { title: 'Conflit', detail: "L'état a changé entre-temps. Relisez-le puis recommencez." },
    PROFILE_CONFLICT: {
      title: 'Identifiants de deux personnes',
      detail:
        "Ces identifiants appartiennent à des profils différents (voir « profileIds »). N'envoyez que ceux d'une personne.",
    },
    NOT_SYNCED: {
      title: 'Pas encore synchronisé',
      detail: "La copie locale n'est pas encore complète. Lancez POST /sync, ou lisez avec source=live.",
    },
    WEBHOOK_LIMIT_REACHED: {
      title: 'Limite de webhooks atteinte',
      detail: "Ce compte Klaviyo a déjà ses 10 webhooks. Supprimez-en un d'abord.",
    },
    PUBLIC_URL_MISSING: {
      title: 'Adresse publique manquante',
      detail:
        "Le service n'a pas d'adresse publique. Demandez à l'exploitant de définir PUBLIC_BASE_URL, ou utilisez delivery « poll ».",
    },
    IDEMPOTENCY_KEY_REUSED: {
      title: 'Idempotency-Key déjà utilisée',
      detail: 'Cette Idempotency-Key a servi avec un autre corps. Utilisez une nouvelle clé pour une nouvelle demande.',
    },
    IDEMPOTENCY_IN_PROGRESS: {
      title: 'Demande en cours',
      detail: 'Une demande avec cette Idempotency-Key est encore en cours. Réessayez dans un instant.',
    },
    PAYLOAD_TOO_LARGE: {
      title: 'Corps trop grand',
      detail: 'Le corps dépasse la limite de {limit}. Répartissez-le sur plusieurs requêtes.',
    },
    UNSUPPORTED_MEDIA_TYPE: {
      title: 'Type de contenu non pris en charge',
      detail: 'Envoyez le corps en JSON UTF-8 avec « Content-Type: application/json ».',
    },
    RATE_LIMITED: { title: 'Trop de requêtes', detail: 'Trop de requêtes. Réessayez dans {retryAfter} s.' },
    KLAVIYO_RATE_LIMITED: {
      title: 'Limite de Klaviyo atteinte',
      detail: 'Le quota Klaviyo de ce compte est épuisé pour le moment. Réessayez dans {retryAfter} s.',
    },
    INTERNAL: {
      title: 'Erreur interne',
      detail: 'Une erreur est survenue de notre côté. Réessayez ; si elle persiste, donnez le requestId au support.',
    },
    KLAVIYO_UNAVAILABLE: {
      title: 'Klaviyo indisponible',
      detail: 'Klaviyo ne répond pas correctement pour le moment. Réessayez plus tard.',
    },
    KLAVIYO_REVISION_RETIRED: {
      title: 'Révision Klaviyo retirée',
      detail:
        'Klaviyo ne sert plus cette opération sous la révision configurée. Définissez un KLAVIYO_API_REVISION plus récent.',
    },
    SERVICE_UNAVAILABLE: {
      title: 'Service indisponible',
      detail: 'Le service ne peut pas travailler pour le moment. Réessayez dans {retryAfter} s.',
    },
    KLAVIYO_TIMEOUT: {
      title: 'Klaviyo trop lent',
      detail: "Klaviyo n'a pas répondu à temps. Vérifiez si la modification a eu lieu, puis réessayez.",
    },
  },
  faults: {
    required: 'est obligatoire',
    unknownField: "n'est pas connu ici : retirez-le",
    notText: 'doit être un texte',
    notNumber: 'doit être un nombre',
    notInteger: 'doit être un entier',
    notBoolean: 'doit être true ou false',
    notObject: 'doit être un objet',
    notArray: 'doit être un tableau',
    notInstant: 'doit être un instant RFC 3339, comme 2026-11-22T10:00:00Z',
    empty: 'ne doit pas être vide',
    tooShort: 'doit avoir au moins {min} caractères',
    tooLong: 'doit avoir au plus {max} caractères',
    tooSmall: 'doit valoir au moins {min}',
    tooLarge: 'doit valoir au plus {max}',
    tooManyItems: 'doit avoir au plus {max} éléments',
    tooFewItems: 'doit avoir au moins {min} éléments',
    tooManyKeys: 'doit avoir au plus {max} clés',
    tooDeep: 'doit être imbriqué sur {max} niveaux au plus',
    tooHeavy: 'ne doit pas dépasser {max} en JSON',
    notEmail: 'doit être une adresse e-mail',
    notPhone: 'doit être un numéro E.164, comme +33612345678',
    notUuid: 'doit être un UUID',
    notUserId: 'doit être un entier de 1 à 9007199254740991',
    notPrivateKey: 'doit être une clé API privée Klaviyo (pk_…)',
    notPublicKey: 'doit être une clé API publique Klaviyo',
    notKlaviyoId: 'doit être un identifiant Klaviyo',
    notCurrency: 'doit être un code de devise ISO 4217, comme EUR',
    notUrl: 'doit être une adresse http ou https',
    notOneOf: "doit être l'une de ces valeurs : {values}",
    notUnique: 'ne doit pas contenir deux fois la même valeur',
    givenTwice: "ne doit être donné qu'une fois",
    oneOfRequired: "l'un de ces champs est obligatoire : {fields}",
    onlyOneOf: 'un seul de ces champs est permis : {fields}',
    forbiddenKey: "contient une clé qui n'est pas permise : {key}",
    holdsSecret: 'contient une clé privée, dont la seule place est « privateApiKey » : connectez-en une nouvelle',
    reservedTags: 'les tags ne sont pas un attribut personnalisé : utilisez « tags »',
    reservedMetric: 'est une métrique propre à Klaviyo, que lui seul enregistre : choisissez un autre nom',
    notLive: 'ne se demande pas à Klaviyo : retirez-le, ou lisez le miroir (source=mirror)',
    tagsWithAddRemove: 'ne se combine pas avec addTags ou removeTags',
    badCursor: "n'est pas un curseur de cette liste : recommencez sans lui",
    badHeader: 'est mal formé',
    timeOutOfRange: 'doit être compris entre {min} et {max}',
    nothingToDo: "aucune modification n'est donnée",
    otherAccount: 'appartient à un autre compte Klaviyo',
    unknownTopic: "n'est pas un sujet de ce compte : voir GET /webhooks/topics",
    hasNoSecret: "désigne un webhook lu par interrogation (poll), qui n'a pas de secret",
    tooWide: 'vise plus que ce qui peut être parcouru : donnez « from » et « to » pour une période plus courte',
    malformed: 'est mal formé',
  },
};
