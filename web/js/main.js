// Starts the page's parts.

import { startAccount } from "./account.js";
import { startPurchase } from "./buy.js";
import { startHealth } from "./health.js";
import { startMerchant } from "./merchant.js";
import { startSearch } from "./search.js";

startAccount();
startPurchase();
startMerchant();
startSearch();
startHealth();
