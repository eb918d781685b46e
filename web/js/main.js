// Starts the page's parts.

import { startAccount } from "./account.js";
import { startPurchase } from "./buy.js";
import { startHealth } from "./health.js";
import { startMerchant } from "./merchant.js";
import { startScore } from "./score.js";
import { startSearch } from "./search.js";
import { startTryOn } from "./tryon.js";

startAccount();
startPurchase();
startMerchant();
startScore();
startTryOn();
startSearch();
startHealth();
