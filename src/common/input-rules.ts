import { getMetadataStorage, ValidationTypes } from 'class-validator';

type Input = Record<string, unknown>;

/** What class-validator knows of one property, looked up once. */
interface PropertyRules {
  /** `@Optional()`, `@Nullable()`: without all of them the rules do not count. */
  conditions: readonly ((object: object, value: unknown) => unknown)[];
  checks: readonly ((value: unknown, object: object) => unknown)[];
}

/** Null for a class with rules that only class-validator itself can follow, such as nested ones. */
const known = new WeakMap<object, ReadonlyMap<string, PropertyRules> | null>();

/**
 * Whether an input is right by every rule of its class, with no field beside them. Class-validator collects the rules of
 * a class anew for each object, which costs more than the rules themselves; here that happens once for a class.
 * @returns false when it is not right or cannot be told here: class-validator then says what is wrong
 */
export function holdsEveryRule(type: new () => object, made: object): boolean {
  let rules = known.get(type);
  if (rules === undefined) known.set(type, (rules = rulesOf(type)));
  if (rules === null) return false;
  for (const field in made) if (!rules.has(field)) return false;
  for (const [field, { conditions, checks }] of rules) {
    const value = (made as Input)[field];
    if (!conditions.every((condition) => condition(made, value))) continue;
    for (const check of checks) if (check(value, made) !== true) return false;
  }
  return true;
}

function rulesOf(type: new () => object): ReadonlyMap<string, PropertyRules> | null {
  const storage = getMetadataStorage();
  const all = storage.getTargetValidationMetadatas(type, type.name, false, false);
  if (all.length === 0) return null;
  const rules = new Map<string, PropertyRules>();
  for (const metadata of all) {
    const { propertyName } = metadata;
    const constraints: unknown[] = metadata.constraints;
    const { conditions, checks } = rules.get(propertyName) ?? { conditions: [], checks: [] };
    switch (metadata.type) {
      case ValidationTypes.WHITELIST:
        rules.set(propertyName, { conditions, checks });
        break;
      case ValidationTypes.CONDITIONAL_VALIDATION:
        rules.set(propertyName, { conditions: [...conditions, constraints[0] as Condition], checks });
        break;
      case ValidationTypes.CUSTOM_VALIDATION: {
        if (metadata.each || metadata.validateIf !== undefined) return null;
        const added = storage
          .getTargetValidatorConstraints(metadata.constraintCls)
          .map(({ instance }): PropertyRules['checks'][number] => {
            const targetName = type.name;
            return (value, object) =>
              instance.validate(value, { value, constraints, object, targetName, property: propertyName });
          });
        rules.set(propertyName, { conditions, checks: [...checks, ...added] });
        break;
      }
      default:
        return null;
    }
  }
  return rules;
}

type Condition = PropertyRules['conditions'][number];
